"""Names that an emitted class or file has for itself: an objective or a variable of that name would replace them."""

# Methods of every emitted class, and attributes of nn.Module.
METHODS = frozenset(
    "T_destination add_module apply bfloat16 buffers call_super_init "
    "children compile cpu cuda double dump_patches eval "
    "extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules "
    "mtia named_buffers named_children named_modules named_parameters parameters register_buffer register_module "
    "requires_grad_ set_extra_state set_submodule share_memory "
    "state_dict to to_empty train training type xpu zero_grad "
    "loss terms sample sample_mean log_prob log_prob_of factor "
    "optimizers schedules inputs_at averaged train_step".split()
)
# Helpers that an emitted file may hold.
HELPERS = frozenset(
    "expect belongs watch condition same_batch check_net as_event draw_from log_density take_inputs "
    "trained learning_rate ramp".split()
)

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
# Attributes of nn.Module that begin with an underscore, as the private methods of an emitted class do.
PRIVATE = frozenset(
    "_apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks "
    "_forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs "
    "_get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict "
    "_load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules "
    "_named_members _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook "
    "_register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks "
    "_state_dict_pre_hooks _version _walk _wrapped_call_impl _dtype_anchor".split()
)
# Helpers that an emitted file may hold.
HELPERS = frozenset(
    "expect belongs watch condition check_batch check_shapes check_net as_event draw_from log_density take_inputs "
    "trained learning_rate ramp".split()
)

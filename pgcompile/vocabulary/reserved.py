"""Names that an emitted class or file has for itself: an objective or a variable of that name would replace them."""

ANCHOR = "_like"
"""The buffer that says device and precision where no other tensor does; no name of a program begins so."""

# Methods of every emitted class, and attributes of nn.Module.
METHODS = frozenset((ANCHOR,)) | frozenset(
    "T_destination add_module apply bfloat16 buffers call_super_init "
    "children compile cpu cuda double dump_patches eval "
    "extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules "
    "mtia named_buffers named_children named_modules named_parameters parameters register_buffer register_module "
    "requires_grad_ set_extra_state set_submodule share_memory "
    "state_dict to to_empty train training type xpu zero_grad "
    "loss terms sample sample_mean log_prob log_prob_of factor "
    "optimizers schedules inputs_at averaged train_step pgc_program get set stored".split()
)
# Attributes of nn.Module that begin with an underscore, as the private methods of an emitted class do.
PRIVATE = frozenset(
    "_apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks "
    "_forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs "
    "_get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict "
    "_load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules "
    "_named_members _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook "
    "_register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks "
    "_state_dict_pre_hooks _version _wrapped_call_impl".split()
)
# Functions that an emitted file may hold; arguments that are called so get an underscore.
HELPERS = frozenset(
    "add_product after_past as_event behind_batch bernoulli_cross_entropy bernoulli_log_prob bessel_ratio "
    "broadcast_batches cauchy_angle cauchy_between causal_mask check_inputs check_net check_part check_per "
    "check_present check_support cholesky_of_inverse clipped_positive clipped_unit continuous_bernoulli_draw "
    "continuous_bernoulli_mean continuous_bernoulli_variance data_weight draw_binomial draw_category draw_counts "
    "draw_from draw_multinomial draw_of draw_sphere_lack draw_von_mises each_entry every_state exp_minus expand_rows "
    "expm1_ratio exponential_between exponential_mean first_place free_of_lower_cholesky free_of_positive "
    "free_of_positive_definite free_of_simplex gaussian_mmd gradient gradient_penalty gru_step hard_bernoulli "
    "hard_one_hot hold hold_places imq_mmd inside_places interpolate jacobian kept_in laplace_at laplace_between "
    "last_places last_states learning_rate leave_one_out lkj_inside lkj_log_prob lkj_of lkj_outside log1m_exp "
    "log1p_bend log1p_series log_abs log_bessel_and_ratio log_bessel_i0 log_bessel_of_large_order log_binned_logistic "
    "log_cauchy_mass log_expm1_ratio log_exponential_mass log_generalized_pareto log_laplace_below log_laplace_mass "
    "log_logistic_mass log_mean log_ndtri log_normal_mass log_prob_under log_sigmoid_difference log_sphere_constant "
    "log_symmetric_mass logistic_at logistic_between logit_of low_rank_log_det low_rank_log_prob low_rank_parts "
    "lower_cholesky lstm_step mean_of mirrored mixture_of moved_places multigamma normal_between normal_slopes "
    "one_hot_states onto_simplex ordered_log_probs other_rows out_of_range over_batch over_cells over_sequence "
    "parameters_of past_of pick_rows positive_definite product_of_family product_of_gaussians product_of_normals ramp "
    "refuse_known relaxed_bernoulli relaxed_one_hot repeat_places require_given rnn_step row_mask shape_of_draws "
    "shuffled sliced_wasserstein solve_vector sphere_direction sphere_lack sphere_lack_slope sphere_mean "
    "square_distances standard_gamma store symmetric_between take take_all take_each take_expanded take_inputs "
    "take_one take_sequences unwrapped values_of watch weigh wishart_halves wishart_log_prob wishart_of "
    "without_diagonal zero_inflated zero_inflated_by_logits".split()
)
# Local names of emitted methods that are not chosen by what is free.
LOCALS = frozenset("shape given name values held variables by".split())

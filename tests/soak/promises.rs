//! The promises, and the tests that prove them. A test of `tests/it` holds that each of them exists.

/// What is promised, and how it is proved.
pub(crate) struct Promise {
    /// `P1` to `P27`.
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    /// Run one after the other.
    pub(crate) parts: &'static [Part],
}

/// A part of a proof, which tells what it tried (`tests/it/support/promise.rs`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// A test of `tests/it`.
    It(&'static str),
    /// The same, with service and load on a core each.
    Pinned(&'static str),
    /// A test of the library.
    Unit(&'static str),
    /// A program of ours.
    Program(&'static str),
}

use Part::{It, Pinned, Program, Unit};

/// All of them, in their order.
pub(crate) const PROMISES: [Promise; 27] = [
    Promise {
        name: "P1",
        says: "A write answered 2xx survives any crash",
        parts: &[
            It("faults::ledger::no_kill_loses_what_was_answered_or_leaves_half_of_a_write"),
            It("hub::outage::positions_that_were_answered_survive_a_crash_of_the_database"),
        ],
    },
    Promise {
        name: "P2",
        says: "After faults stop, every edge equals the database, deletions included",
        parts: &[
            Unit("sync::simulation::after_faults_every_edge_holds_what_it_should_within_ten_seconds"),
            It("sync::surviving::whatever_is_killed_every_edge_holds_what_it_should_soon_after"),
        ],
    },
    Promise {
        name: "P3",
        says: "Duplicated, reordered or replayed messages have one effect; versions never fall",
        parts: &[
            Unit("sync::simulation::mangled_messages_have_one_effect"),
            It("sync::mangled::duplicated_reordered_and_replayed_messages_have_one_effect_and_no_version_falls"),
        ],
    },
    Promise {
        name: "P4",
        says: "Two instances on one database act as one",
        parts: &[
            It("sync::instances::what_is_written_on_one_instance_comes_to_the_edges_of_another_without_notices"),
            It("instances::acting_as_one::what_is_written_on_one_process_comes_to_the_edges_of_another_without_notices"),
        ],
    },
    Promise {
        name: "P5",
        says: "It starts without the database and outlives its restarts",
        parts: &[
            It("faults::restarts::it_starts_without_its_database_and_outlives_its_restarts"),
            It("faults::restarts::a_crash_in_the_middle_of_a_migration_is_waited_out"),
        ],
    },
    Promise {
        name: "P6",
        says: "An abandoned request leaves nothing behind",
        parts: &[It("faults::abandoned::abandoned_requests_leave_nothing_behind")],
    },
    Promise {
        name: "P7",
        says: "Stopping breaks nobody",
        parts: &[
            It("faults::stopping::a_stop_cuts_no_reply_tells_every_socket_and_ends_well"),
            It("operations::rolling::restarts_behind_a_proxy_cost_nobody_more_than_a_retry"),
        ],
    },
    Promise {
        name: "P8",
        says: "Slow clients cannot hold it",
        parts: &[Pinned("faults::slow::slow_clients_are_let_go_and_others_hardly_notice")],
    },
    Promise {
        name: "P9",
        says: "A stalled consumer hurts only itself",
        parts: &[Pinned("faults::stalled::an_edge_that_reads_nothing_hurts_only_itself")],
    },
    Promise {
        name: "P10",
        says: "Over capacity it sheds, never collapses",
        parts: &[
            Pinned("operations::overload::three_times_the_peak_is_refused_politely_and_the_rest_is_done"),
            Pinned("operations::overload::three_times_the_peak_of_newcomers_is_refused_politely_and_the_rest_is_done"),
        ],
    },
    Promise { name: "P11", says: "A reconnect herd is absorbed", parts: &[It("hub::crowds::a_herd_that_lost_its_sockets_is_soon_back")] },
    Promise {
        name: "P12",
        says: "Full disk or no descriptors is an error, not an end",
        parts: &[
            It("faults::full::a_full_disk_is_an_error_and_not_an_end"),
            It("faults::full::no_descriptors_left_is_an_error_and_not_an_end"),
            It("faults::full::a_log_that_takes_nothing_is_no_end_either"),
        ],
    },
    Promise {
        name: "P13",
        says: "No input yields 500 or a panic",
        parts: &[
            It("bad_input::parameters::every_bad_value_of_every_parameter_is_refused_and_named"),
            It("bad_input::bodies::every_bad_value_of_every_field_is_refused_and_named"),
            It("bad_input::everything::no_mixture_of_inputs_is_our_fault"),
            Program(".ci/fuzz"),
        ],
    },
    Promise { name: "P14", says: "Spatial answers equal brute force", parts: &[It("brute_force::nearby_equals_brute_force")] },
    Promise {
        name: "P15",
        says: "The socket layer conforms to RFC 6455",
        parts: &[It("faults::foreign::clients_of_other_languages_find_the_socket_as_the_rfc_has_it")],
    },
    Promise {
        name: "P16",
        says: "One refresh token never has two live descendants; replay ends the family",
        parts: &[
            It("accounts::refreshing::sixty_four_at_once_on_two_instances_agree_on_one_successor"),
            It("accounts::refreshing::a_logout_among_refreshes_leaves_nothing_alive"),
        ],
    },
    Promise {
        name: "P17",
        says: "No forged, foreign, stale or mistyped token passes",
        parts: &[It("accounts::forged::no_wrong_token_opens_any_route")],
    },
    Promise {
        name: "P18",
        says: "Logout, disable, demotion and password change bite everywhere, sockets included",
        parts: &[
            It("accounts::revoking::every_end_is_known_on_the_other_instance"),
            It("instances::revoking::every_end_closes_the_sockets_on_the_other_process"),
        ],
    },
    Promise {
        name: "P19",
        says: "Every route × actor cell is decided and tested",
        parts: &[It("accounts::matrix::every_route_lets_in_whom_it_should_and_nobody_else")],
    },
    Promise {
        name: "P20",
        says: "Login tells nobody which accounts exist",
        parts: &[It("accounts::telling_nothing::unknown_disabled_and_wrong_are_one_answer_and_one_hash")],
    },
    Promise {
        name: "P21",
        says: "Guessing is throttled and owners get in",
        parts: &[
            It("accounts::guessing::a_guesser_who_rotates_forwarded_addresses_is_one_guesser"),
            It("accounts::guessing::guessers_from_everywhere_do_not_lock_the_owner_out"),
        ],
    },
    Promise {
        name: "P22",
        says: "It never dials where policy forbids",
        parts: &[
            Unit("edges::probe::tests::it_dials_nothing_that_policy_forbids"),
            Unit("edges::probe::tests::a_name_is_looked_up_once_and_judged_each_time"),
        ],
    },
    Promise {
        name: "P23",
        says: "Secrets and positions never leak",
        parts: &[It("accounts::secrets::neither_the_log_nor_an_error_tells_a_secret")],
    },
    Promise {
        name: "P24",
        says: "Analysts cannot isolate anyone; exact positions expire",
        parts: &[
            It("analysts::privacy::no_question_tells_worlds_apart_that_differ_in_less_than_a_crowd"),
            It("analysts::privacy::nothing_beside_the_views_tells_where_anybody_is"),
            It("analysts::privacy::differences_of_sums_are_nothing_or_a_crowd"),
            It("devices::moving::exact_positions_are_forgotten_after_their_time"),
        ],
    },
    Promise {
        name: "P25",
        says: "Concurrent edits and retries neither vanish nor double",
        parts: &[
            It("editing::at_once::every_success_among_many_writers_is_a_version_of_its_own"),
            It("editing::at_once::the_same_request_many_times_at_once_has_one_effect"),
        ],
    },
    Promise {
        name: "P26",
        says: "Many instances starting at once migrate once",
        parts: &[
            It("instances::migrating::four_processes_at_once_migrate_once_from_nothing_and_from_the_last_release"),
            It("operations::upgrade::instances_go_on_answering_while_a_newer_one_makes_the_layer_anew"),
        ],
    },
    Promise {
        name: "P27",
        says: "Skewed clocks break no expiry or version",
        parts: &[It("instances::clocks::wrong_clocks_break_no_token_lease_beat_or_version")],
    },
];

//! What is written on one process is known on the other (P4), and refresh tokens have one successor on both (P16).

use super::Two;
use crate::accounts::refreshing::{agree_on_one_successor, leave_nothing_alive};
use crate::support::rounds;
use crate::sync::instances::come_to_edges_without_notices;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_one_process_comes_to_the_edges_of_another_without_notices() {
    let two = Two::start(&[]).await;
    come_to_edges_without_notices(&two.a, &two.b, rounds(3, 50)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_refreshes_at_once_on_two_processes_agree_also_beside_a_logout() {
    let two = Two::start(&[]).await;
    agree_on_one_successor(&two.a, &two.b, rounds(2, 100)).await;
    leave_nothing_alive(&two.b, &two.a, 64, rounds(1, 100)).await;
}

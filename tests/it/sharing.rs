//! The same question from two people of a server: at the same time it is asked once, and a while later it is remembered.

use crate::harness::check;
use expect_test::expect;

#[tokio::test]
async fn what_was_answered_on_a_server_is_answered_again_without_a_call() {
    check(
        "
        cast   alpha: 'A knot that holds.' then 'A loop.' then 'Which knot?'
        config router.cache.entries=10
        ana    in #help: @neverdark what is a bowline?
        ben    in #ideas: @neverdark what is a bowline?
        ben    in dm: what is a bowline?
        ben    in #ideas: @neverdark what is a bowline?
        ",
        expect![[r#"
            #help
              ana         @neverdark what is a bowline?
              neverdark  ↳ A knot that holds.
            #ideas
              ben         @neverdark what is a bowline?
              neverdark  ↳ A knot that holds.
              ben         @neverdark what is a bowline?
              neverdark  ↳ Which knot?
            DM with ben
              ben         what is a bowline?
              neverdark  ↳ A loop.
            ledger
              alpha answered
              (no call)
              alpha answered
              alpha answered
        "#]],
    )
    .await;
}

#[tokio::test]
async fn two_who_ask_the_same_at_once_cost_one_call() {
    check(
        "
        cast   alpha: 'With the first step.' delay=700ms then 'Asked twice.'
        config router.coalesce=true
        ana    in #help: @neverdark how do I begin? &
        wait   200ms
        ben    in #ideas: @neverdark how do I begin?
        ",
        expect![[r#"
            #help
              ana         @neverdark how do I begin?
              neverdark  ↳ With the first step.
            #ideas
              ben         @neverdark how do I begin?
              neverdark  ↳ With the first step.
            ledger
              alpha answered
              (no call)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn both_are_told_when_the_answer_that_they_share_is_rewritten() {
    check(
        "
        cast   alpha: 'With one step and then another and then' delay=700ms cut after=6 hold then 'Asked twice.' | beta: 'With courage.' delay=300ms
        config router.coalesce=true
        ana    in #help: @neverdark how do I begin? &
        wait   200ms
        ben    in #ideas: @neverdark how do I begin?
        ",
        expect![[r#"
            #help
              ana         @neverdark how do I begin?
              neverdark  ↳ With courage.
                          -# answered by beta · alpha broke off
                          (rewritten)
            #ideas
              ben         @neverdark how do I begin?
              neverdark  ↳ With courage.
                          -# answered by beta · alpha broke off
                          (rewritten)
            ledger
              alpha failed: broken_stream · beta answered
              (no call)
        "#]],
    )
    .await;
}

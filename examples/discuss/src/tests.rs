//! The same scripts on both databases: each on a SQLite file of its own, and all on one PostgreSQL, in a database of
//! its own each.

mod channels;
mod http;
mod kept;
mod people;
mod postgres;

use std::{future::Future, pin::Pin};

use people::Stage;

type Script = fn(Stage) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a test of each script for SQLite, and a list of all for PostgreSQL.
macro_rules! scripts {
    ($($module:ident::$name:ident,)*) => {
        const SCRIPTS: &[(&str, Script)] = &[
            $((stringify!($name), |stage| Box::pin($module::$name(stage))),)*
        ];

        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::on_sqlite(|stage| Box::pin(super::$module::$name(stage))).await;
                }
            )*
        }
    };
}

scripts! {
    kept::a_name_in_any_case_is_one_user,
    kept::comments_are_numbered_without_gaps_whoever_writes_at_once,
    kept::a_comment_that_is_sent_again_is_stored_once,
    kept::pages_go_both_ways,
    kept::a_topic_is_changed_by_its_owner_alone,
    kept::what_is_kept_outlives_the_server,
    channels::a_comment_reaches_everybody_with_the_chosen_fields_alone,
    channels::what_is_wrong_with_a_comment_is_told_by_field,
    channels::a_comment_whose_reply_was_lost_counts_once,
    channels::what_is_stored_is_told_to_all_though_its_author_is_gone,
    channels::who_was_away_gets_what_was_missed,
    channels::nothing_falls_between_what_a_join_reads_and_what_it_hears,
    channels::older_comments_come_on_demand,
    channels::guests_read_and_do_not_write,
    channels::a_topic_for_members_shows_its_guests_out,
    channels::a_deleted_topic_closes_with_a_word,
    channels::only_the_owner_changes_a_topic,
    channels::presence_tells_who_reads,
    channels::the_list_is_live,
    channels::what_is_no_topic_is_refused_for_good,
    http::signing_in_gives_a_session_and_signing_out_ends_its_sockets,
    http::a_session_is_for_pages_that_know_its_csrf_token,
    http::a_session_of_an_unknown_user_is_none,
    http::names_are_judged,
    http::pages_are_served_under_the_prefix,
}

async fn on_sqlite(script: Script) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("discuss.db");
    let stage = Stage::open(&format!("sqlite://{}", file.display())).await;
    script(stage).await;
}

/// One server for all, since starting one takes seconds.
#[tokio::test]
async fn every_script_holds_on_postgresql() {
    let server = postgres::Server::start().await;
    for (name, script) in SCRIPTS {
        let stage = Stage::open(&server.database(name).await).await;
        let done = tokio::spawn(script(stage)).await;
        assert!(done.is_ok(), "on PostgreSQL: {name}");
    }
}

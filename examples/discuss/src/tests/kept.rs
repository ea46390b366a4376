//! What the database promises.

use super::people::{Stage, uuid};
use crate::db::{Added, Comment, Db, NewComment, PAGE_COMMENTS, Page, Topic, User};

async fn user(db: &Db, name: &str) -> User {
    db.sign_in(name, 1).await.unwrap()
}

async fn topic(db: &Db, owner: &User) -> Topic {
    db.create_topic(owner, "A topic", false, 1).await.unwrap()
}

fn comment(topic: &Topic, author: &User, n: u32) -> NewComment {
    NewComment {
        topic_id: topic.id,
        author: author.clone(),
        client_id: uuid(n),
        content: format!("comment {n}"),
    }
}

async fn stored(db: &Db, new: &NewComment) -> Comment {
    match db.add_comment(new, 2).await.unwrap() {
        Added::Stored(comment) => comment,
        other => panic!("{other:?}"),
    }
}

fn numbers(comments: &[Comment]) -> Vec<i64> {
    comments.iter().map(|it| it.number).collect()
}

pub(crate) async fn a_name_in_any_case_is_one_user(stage: Stage) {
    let ada = user(stage.db(), "Ada").await;
    assert_eq!(user(stage.db(), "ADA").await, ada);
    assert_eq!(ada.name, "Ada");
    assert_ne!(user(stage.db(), "Ada L").await.id, ada.id);
}

pub(crate) async fn comments_are_numbered_without_gaps_whoever_writes_at_once(stage: Stage) {
    const WRITERS: u32 = 4;
    const EACH: u32 = 10;
    let db = stage.db();
    let ada = user(db, "Ada").await;
    let topic = topic(db, &ada).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (db, topic, ada) = (db.clone(), topic.clone(), ada.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    stored(&db, &comment(&topic, &ada, writer * EACH + n)).await;
                }
            })
        })
        .collect();
    // Who asks for what came after the last one seen misses none, in the middle of it.
    let mut seen = Vec::new();
    while seen.len() < (WRITERS * EACH) as usize {
        let last = seen.last().copied().unwrap_or_default();
        let page = db.comments(topic.id, Page::After(last)).await.unwrap();
        seen.extend(numbers(&page));
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen.into_iter().eq(1..=i64::from(WRITERS * EACH)));
    let kept = db.topic(topic.id).await.unwrap().unwrap();
    assert_eq!(kept.comments, i64::from(WRITERS * EACH));
}

pub(crate) async fn a_comment_that_is_sent_again_is_stored_once(stage: Stage) {
    let db = stage.db();
    let (ada, ben) = (user(db, "Ada").await, user(db, "Ben").await);
    let (first, second) = (topic(db, &ada).await, topic(db, &ada).await);
    let tries: Vec<_> = (0..6)
        .map(|_| {
            let (db, new) = (db.clone(), comment(&first, &ada, 1));
            tokio::spawn(async move { db.add_comment(&new, 2).await.unwrap() })
        })
        .collect();
    let mut became = Vec::new();
    for it in tries {
        became.push(it.await.unwrap());
    }
    let stored_ones = became.iter().filter(|it| matches!(it, Added::Stored(_)));
    assert_eq!(stored_ones.count(), 1, "{became:?}");
    for it in &became {
        let (Added::Stored(it) | Added::Known(it)) = it else {
            panic!("{it:?}");
        };
        assert_eq!((it.number, it.content.as_str()), (1, "comment 1"));
    }
    // The ids of one topic are nothing to another, and somebody else's id is no way to their comment.
    let by_ben = db.add_comment(&comment(&first, &ben, 1), 2).await.unwrap();
    assert_eq!(by_ben, Added::IdTaken);
    assert_eq!(stored(db, &comment(&second, &ben, 1)).await.number, 1);
    // None of those tries took a number.
    assert_eq!(stored(db, &comment(&first, &ben, 2)).await.number, 2);
}

pub(crate) async fn pages_go_both_ways(stage: Stage) {
    let db = stage.db();
    let ada = user(db, "Ada").await;
    let topic = topic(db, &ada).await;
    let newest = PAGE_COMMENTS * 2 + 20;
    for n in 1..=newest {
        let n = u32::try_from(n).unwrap();
        stored(db, &comment(&topic, &ada, n)).await;
    }
    let check = async |page, expected: std::ops::RangeInclusive<i64>| {
        let comments = db.comments(topic.id, page).await.unwrap();
        assert!(numbers(&comments).into_iter().eq(expected), "{page:?}");
    };
    check(Page::Newest, newest - PAGE_COMMENTS + 1..=newest).await;
    check(Page::Before(21), 1..=20).await;
    check(Page::Before(100), 50..=99).await;
    check(Page::After(0), 1..=PAGE_COMMENTS).await;
    check(Page::After(newest - 3), newest - 2..=newest).await;
    for nothing in [
        Page::After(newest),
        Page::Before(1),
        Page::After(i64::MAX),
        Page::Before(i64::MIN),
    ] {
        let comments = db.comments(topic.id, nothing).await.unwrap();
        assert_eq!(comments, [], "{nothing:?}");
    }
}

pub(crate) async fn a_topic_is_changed_by_its_owner_alone(stage: Stage) {
    let db = stage.db();
    let (ada, ben) = (user(db, "Ada").await, user(db, "Ben").await);
    let topic = topic(db, &ada).await;
    stored(db, &comment(&topic, &ben, 1)).await;
    let edit = async |by: &User, title| db.edit_topic(topic.id, by.id, title, true).await.unwrap();
    assert!(!edit(&ben, "Ben's").await);
    assert!(edit(&ada, "Ada's").await);
    let kept = db.topic(topic.id).await.unwrap().unwrap();
    assert_eq!((kept.title.as_str(), kept.members_only()), ("Ada's", true));
    assert_eq!((kept.owner.as_str(), kept.comments), ("Ada", 1));

    assert!(!db.delete_topic(topic.id, ben.id).await.unwrap());
    assert!(db.delete_topic(topic.id, ada.id).await.unwrap());
    assert!(!db.delete_topic(topic.id, ada.id).await.unwrap());
    assert_eq!(db.topic(topic.id).await.unwrap(), None);
    assert_eq!(db.comments(topic.id, Page::Newest).await.unwrap(), []);
    let late = db.add_comment(&comment(&topic, &ben, 2), 2).await.unwrap();
    assert_eq!(late, Added::TopicGone);
}

pub(crate) async fn what_is_kept_outlives_the_server(stage: Stage) {
    let ada = user(stage.db(), "Ada").await;
    let topic = topic(stage.db(), &ada).await;
    let before = stored(stage.db(), &comment(&topic, &ada, 1)).await;
    let stage = stage.reopened().await;
    let kept = stage.db().comments(topic.id, Page::Newest).await.unwrap();
    assert_eq!(kept, [before]);
    assert_eq!(user(stage.db(), "ada").await, ada);
    let after = stored(stage.db(), &comment(&topic, &ada, 2)).await;
    assert_eq!(after.number, 2);
}

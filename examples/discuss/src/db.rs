//! What is kept, and all SQL: the same text for SQLite and PostgreSQL.
//!
//! Knows no sockets and no HTTP. Times come in as arguments, in milliseconds since 1970.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use sqlx::{
    Any, AnyPool, Executor, FromRow, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::Migrator,
};

/// Topics that the front page shows, the most recently active first.
pub(crate) const TOPICS_SHOWN_MAX: i64 = 100;
/// Comments that are read at once.
pub(crate) const PAGE_COMMENTS: i64 = 50;

const SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
const POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

const TOPICS: &str = "
    SELECT t.id, t.owner_id, u.name AS owner, t.title, t.members_only, t.comments, t.active_at
    FROM topics t JOIN users u ON u.id = t.owner_id";
const COMMENTS: &str = "
    SELECT c.topic_id, c.number, c.user_id, u.name AS author, c.client_id, c.content, c.created_at
    FROM comments c JOIN users u ON u.id = c.user_id";

/// Connections to the database. SQLite has one writer at a time, so more would only wait for each other.
const CONNECTIONS_MAX: u32 = 5;
/// How long a connection is waited for, under load or when the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The database: a pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Db {
    pool: AnyPool,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// A topic with its owner's name.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Topic {
    pub(crate) id: i64,
    pub(crate) owner_id: i64,
    pub(crate) owner: String,
    pub(crate) title: String,
    /// 0 or 1: a type that both databases have.
    members_only: i64,
    /// The number of the newest comment.
    pub(crate) comments: i64,
    pub(crate) active_at: i64,
}

impl Topic {
    pub(crate) fn members_only(&self) -> bool {
        self.members_only != 0
    }
}

/// A comment with its author's name.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Comment {
    pub(crate) topic_id: i64,
    /// Counts up from 1 in each topic, without gaps and in the order of storing.
    pub(crate) number: i64,
    pub(crate) user_id: i64,
    pub(crate) author: String,
    pub(crate) client_id: String,
    pub(crate) content: String,
    pub(crate) created_at: i64,
}

/// A comment to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewComment {
    pub(crate) topic_id: i64,
    pub(crate) author: User,
    pub(crate) client_id: String,
    pub(crate) content: String,
}

/// What became of a comment that was to be stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Stored(Comment),
    /// It is there since an earlier try.
    Known(Comment),
    /// Another user's comment has this id.
    IdTaken,
    TopicGone,
}

/// Which comments of a topic, by number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    Newest,
    Before(i64),
    After(i64),
}

impl Db {
    /// Connects to `sqlite://FILE` or `postgres://...`, and brings the tables up to date.
    pub(crate) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        let url = match is_sqlite && !url.contains('?') {
            // The file is made where there is none.
            true => format!("{url}?mode=rwc"),
            false => url.to_owned(),
        };
        let options = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        // Who reads doesn't wait for who writes.
                        connection.execute("PRAGMA journal_mode = WAL").await?;
                        connection.execute("PRAGMA busy_timeout = 5000").await?;
                        connection.execute("PRAGMA foreign_keys = ON").await?;
                    }
                    Ok(())
                })
            });
        let pool = options
            .connect_with(AnyConnectOptions::from_str(&url)?)
            .await?;
        let tables = if is_sqlite { SQLITE } else { POSTGRES };
        tables.run(&pool).await?;
        Ok(Self { pool })
    }

    /// The user of that name, who is new if there is none.
    pub(crate) async fn sign_in(&self, name: &str, at: i64) -> Result<User, sqlx::Error> {
        let key = name.to_lowercase();
        sqlx::query(
            "INSERT INTO users (name, name_key, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (name_key) DO NOTHING",
        )
        .bind(name)
        .bind(&key)
        .bind(at)
        .execute(&self.pool)
        .await?;
        sqlx::query_as("SELECT id, name FROM users WHERE name_key = $1")
            .bind(&key)
            .fetch_one(&self.pool)
            .await
    }

    pub(crate) async fn user(&self, id: i64) -> Result<Option<User>, sqlx::Error> {
        sqlx::query_as("SELECT id, name FROM users WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
    }

    /// The most recently active topics.
    pub(crate) async fn topics(&self) -> Result<Vec<Topic>, sqlx::Error> {
        let text = format!("{TOPICS} ORDER BY t.active_at DESC, t.id DESC LIMIT $1");
        sqlx::query_as(&text)
            .bind(TOPICS_SHOWN_MAX)
            .fetch_all(&self.pool)
            .await
    }

    pub(crate) async fn topic(&self, id: i64) -> Result<Option<Topic>, sqlx::Error> {
        let text = format!("{TOPICS} WHERE t.id = $1");
        sqlx::query_as(&text)
            .bind(id)
            .fetch_optional(&self.pool)
            .await
    }

    pub(crate) async fn create_topic(
        &self,
        owner: &User,
        title: &str,
        members_only: bool,
        at: i64,
    ) -> Result<Topic, sqlx::Error> {
        let (id,): (i64,) = sqlx::query_as(
            "INSERT INTO topics (owner_id, title, members_only, created_at, active_at)
             VALUES ($1, $2, $3, $4, $4) RETURNING id",
        )
        .bind(owner.id)
        .bind(title)
        .bind(i64::from(members_only))
        .bind(at)
        .fetch_one(&self.pool)
        .await?;
        Ok(Topic {
            id,
            owner_id: owner.id,
            owner: owner.name.clone(),
            title: title.to_owned(),
            members_only: i64::from(members_only),
            comments: 0,
            active_at: at,
        })
    }

    /// False when the topic is gone, or somebody else's.
    pub(crate) async fn edit_topic(
        &self,
        id: i64,
        owner_id: i64,
        title: &str,
        members_only: bool,
    ) -> Result<bool, sqlx::Error> {
        let edited = sqlx::query(
            "UPDATE topics SET title = $1, members_only = $2 WHERE id = $3 AND owner_id = $4",
        )
        .bind(title)
        .bind(i64::from(members_only))
        .bind(id)
        .bind(owner_id)
        .execute(&self.pool)
        .await?;
        Ok(edited.rows_affected() == 1)
    }

    /// Deletes a topic and its comments. False when it's gone already, or somebody else's.
    pub(crate) async fn delete_topic(&self, id: i64, owner_id: i64) -> Result<bool, sqlx::Error> {
        let deleted = sqlx::query("DELETE FROM topics WHERE id = $1 AND owner_id = $2")
            .bind(id)
            .bind(owner_id)
            .execute(&self.pool)
            .await?;
        Ok(deleted.rows_affected() == 1)
    }

    /// Stores a comment under the topic's next number, unless it is there from an earlier try.
    ///
    /// Taking the number locks the topic's row until the comment is stored. So numbers become visible in their order
    /// and none is left out, and who has seen all up to one can ask for what came after it.
    pub(crate) async fn add_comment(
        &self,
        new: &NewComment,
        at: i64,
    ) -> Result<Added, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let number: Option<(i64,)> = sqlx::query_as(
            "UPDATE topics SET comments = comments + 1, active_at = $1 WHERE id = $2 RETURNING comments",
        )
        .bind(at)
        .bind(new.topic_id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((number,)) = number else {
            return Ok(Added::TopicGone);
        };
        // Dropping the transaction gives the number back.
        if let Some(known) = known(&mut transaction, new).await? {
            return Ok(match known.user_id == new.author.id {
                true => Added::Known(known),
                false => Added::IdTaken,
            });
        }
        sqlx::query(
            "INSERT INTO comments (topic_id, number, user_id, client_id, content, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.topic_id)
        .bind(number)
        .bind(new.author.id)
        .bind(&new.client_id)
        .bind(&new.content)
        .bind(at)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Added::Stored(Comment {
            topic_id: new.topic_id,
            number,
            user_id: new.author.id,
            author: new.author.name.clone(),
            client_id: new.client_id.clone(),
            content: new.content.clone(),
            created_at: at,
        }))
    }

    /// At most [`PAGE_COMMENTS`] comments of a topic, in the order of their numbers.
    pub(crate) async fn comments(
        &self,
        topic_id: i64,
        page: Page,
    ) -> Result<Vec<Comment>, sqlx::Error> {
        let (after, before) = match page {
            Page::Newest => (0, i64::MAX),
            Page::Before(number) => (0, number),
            Page::After(number) => (number, i64::MAX),
        };
        let upwards = matches!(page, Page::After(_));
        let order = if upwards { "ASC" } else { "DESC" };
        let text = format!(
            "{COMMENTS} WHERE c.topic_id = $1 AND c.number > $2 AND c.number < $3
             ORDER BY c.number {order} LIMIT $4"
        );
        let mut comments: Vec<Comment> = sqlx::query_as(&text)
            .bind(topic_id)
            .bind(after)
            .bind(before)
            .bind(PAGE_COMMENTS)
            .fetch_all(&self.pool)
            .await?;
        if !upwards {
            comments.reverse();
        }
        Ok(comments)
    }

    /// Ends the connections; what runs is finished first.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The comment that has this id already.
async fn known(
    transaction: &mut Transaction<'_, Any>,
    new: &NewComment,
) -> Result<Option<Comment>, sqlx::Error> {
    let text = format!("{COMMENTS} WHERE c.topic_id = $1 AND c.client_id = $2");
    sqlx::query_as(&text)
        .bind(new.topic_id)
        .bind(&new.client_id)
        .fetch_optional(&mut **transaction)
        .await
}

-- Times are milliseconds since 1970.

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- The name in lower case: Ada and ada are one person.
    name_key TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);

CREATE TABLE topics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER NOT NULL REFERENCES users (id),
    title TEXT NOT NULL,
    members_only INTEGER NOT NULL,
    -- The number of the newest comment. Comments are numbered without gaps, under this row's lock.
    comments INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    active_at INTEGER NOT NULL
);

CREATE INDEX topics_active ON topics (active_at DESC, id DESC);

CREATE TABLE comments (
    topic_id INTEGER NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    -- Made by the client, so that what it sends again is stored once.
    client_id TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (topic_id, number),
    UNIQUE (topic_id, client_id)
);

-- Times are milliseconds since 1970.

CREATE TABLE users (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    -- The name in lower case: Ada and ada are one person.
    name_key TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE topics (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id BIGINT NOT NULL REFERENCES users (id),
    title TEXT NOT NULL,
    members_only BIGINT NOT NULL,
    -- The number of the newest comment. Comments are numbered without gaps, under this row's lock.
    comments BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    active_at BIGINT NOT NULL
);

CREATE INDEX topics_active ON topics (active_at DESC, id DESC);

CREATE TABLE comments (
    topic_id BIGINT NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id),
    -- Made by the client, so that what it sends again is stored once.
    client_id TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (topic_id, number),
    UNIQUE (topic_id, client_id)
);

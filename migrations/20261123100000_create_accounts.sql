-- Schema `ar` holds the tables and belongs to the service alone; analysts read schema `gis` (folder sql/).
-- PostGIS and pg_trgm are there already: `ar-supervisor migrate` installs them or says what to do.
COMMENT ON SCHEMA ar IS 'Tables of the AR supervisor, for the service alone: analysts read schema gis.';

CREATE TABLE ar.meta (
    key   text CONSTRAINT meta_pkey PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE ar.meta IS 'Facts about this database itself: `epoch` (changes when it was restored from a backup), `sql_layer` (digest of the applied files of sql/).';
COMMENT ON COLUMN ar.meta.key IS 'Name of the fact.';
COMMENT ON COLUMN ar.meta.value IS 'Its value, as text.';
INSERT INTO ar.meta (key, value) VALUES ('epoch', gen_random_uuid()::text);

CREATE TABLE ar.users (
    id            uuid CONSTRAINT users_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    email         varchar(255) NOT NULL CONSTRAINT users_email_not_blank CHECK (email <> ''),
    password_hash varchar(255) NOT NULL,
    full_name     varchar(255) NOT NULL CONSTRAINT users_full_name_not_blank CHECK (full_name <> ''),
    role          varchar(50)  NOT NULL CONSTRAINT users_role_known CHECK (role IN ('admin', 'user')),
    created_at    timestamptz  NOT NULL DEFAULT now(),
    updated_at    timestamptz  NOT NULL DEFAULT now(),
    last_login    timestamptz,
    is_active     boolean      NOT NULL DEFAULT true
);
-- Collation "C" folds ASCII letters only: other scripts' look-alikes stay different accounts.
CREATE UNIQUE INDEX users_email_key ON ar.users (lower(email COLLATE "C"));
COMMENT ON TABLE ar.users IS 'People who sign in: phone users and admins.';
COMMENT ON COLUMN ar.users.id IS 'Identity, UUID v7 when the service makes it.';
COMMENT ON COLUMN ar.users.email IS 'Sign-in name; unique without regard to the case of ASCII letters.';
COMMENT ON COLUMN ar.users.password_hash IS 'Argon2id in PHC string form.';
COMMENT ON COLUMN ar.users.full_name IS 'Name as the person writes it.';
COMMENT ON COLUMN ar.users.role IS '`admin` or `user`.';
COMMENT ON COLUMN ar.users.created_at IS 'When the account was made.';
COMMENT ON COLUMN ar.users.updated_at IS 'When the account was last changed.';
COMMENT ON COLUMN ar.users.last_login IS 'Last successful sign-in.';
COMMENT ON COLUMN ar.users.is_active IS 'False: may not sign in, and has no live sessions.';

CREATE TABLE ar.user_sessions (
    id                  uuid CONSTRAINT user_sessions_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id             uuid NOT NULL CONSTRAINT user_sessions_user_id_fkey REFERENCES ar.users (id) ON DELETE CASCADE,
    token_id            varchar(255) NOT NULL CONSTRAINT user_sessions_token_id_key UNIQUE,
    family_id           uuid NOT NULL,
    refresh_token_hash  bytea NOT NULL CONSTRAINT user_sessions_refresh_token_hash_sha256 CHECK (octet_length(refresh_token_hash) = 32),
    previous_token_hash bytea CONSTRAINT user_sessions_previous_token_hash_sha256 CHECK (octet_length(previous_token_hash) = 32),
    rotated_at          timestamptz,
    expires_at          timestamptz NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_used           timestamptz NOT NULL DEFAULT now(),
    revoked_at          timestamptz,
    device_info         text,
    ip_address          inet
);
CREATE INDEX user_sessions_user_id_idx ON ar.user_sessions (user_id);
CREATE INDEX user_sessions_family_id_idx ON ar.user_sessions (family_id);
CREATE INDEX user_sessions_expires_at_idx ON ar.user_sessions (expires_at);
COMMENT ON TABLE ar.user_sessions IS 'Signed-in sessions: one row a token family, locked by refresh, logout and revocation alike.';
COMMENT ON COLUMN ar.user_sessions.id IS 'Identity; the access token''s `sid`.';
COMMENT ON COLUMN ar.user_sessions.user_id IS 'Whose session it is.';
COMMENT ON COLUMN ar.user_sessions.token_id IS '`jti` of the newest access token.';
COMMENT ON COLUMN ar.user_sessions.family_id IS 'All refresh tokens descending from one sign-in.';
COMMENT ON COLUMN ar.user_sessions.refresh_token_hash IS 'SHA-256 of the live refresh token.';
COMMENT ON COLUMN ar.user_sessions.previous_token_hash IS 'SHA-256 of its predecessor, for retries within 30 s.';
COMMENT ON COLUMN ar.user_sessions.rotated_at IS 'When the predecessor was spent.';
COMMENT ON COLUMN ar.user_sessions.expires_at IS 'End of the refresh token''s life.';
COMMENT ON COLUMN ar.user_sessions.created_at IS 'When the person signed in.';
COMMENT ON COLUMN ar.user_sessions.last_used IS 'Last request seen with it, written in batches.';
COMMENT ON COLUMN ar.user_sessions.revoked_at IS 'When it was ended early.';
COMMENT ON COLUMN ar.user_sessions.device_info IS 'What the client said about itself.';
COMMENT ON COLUMN ar.user_sessions.ip_address IS 'Address at sign-in.';

CREATE TABLE ar.ws_tickets (
    ticket_hash bytea CONSTRAINT ws_tickets_pkey PRIMARY KEY CONSTRAINT ws_tickets_ticket_hash_sha256 CHECK (octet_length(ticket_hash) = 32),
    session_id  uuid NOT NULL CONSTRAINT ws_tickets_session_id_fkey REFERENCES ar.user_sessions (id) ON DELETE CASCADE,
    path        varchar(255) NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX ws_tickets_expires_at_idx ON ar.ws_tickets (expires_at);
COMMENT ON TABLE ar.ws_tickets IS 'Single-use tickets with which a browser opens a WebSocket; a row is deleted when it is used.';
COMMENT ON COLUMN ar.ws_tickets.ticket_hash IS 'SHA-256 of the ticket.';
COMMENT ON COLUMN ar.ws_tickets.session_id IS 'The session it stands for.';
COMMENT ON COLUMN ar.ws_tickets.path IS 'The one path it opens.';
COMMENT ON COLUMN ar.ws_tickets.expires_at IS 'End of its 30 s.';

CREATE TABLE ar.idempotency_keys (
    user_id         uuid NOT NULL CONSTRAINT idempotency_keys_user_id_fkey REFERENCES ar.users (id) ON DELETE CASCADE,
    key             varchar(255) NOT NULL,
    body_hash       bytea NOT NULL CONSTRAINT idempotency_keys_body_hash_sha256 CHECK (octet_length(body_hash) = 32),
    response_status smallint,
    response_body   jsonb,
    expires_at      timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_expires_at_idx ON ar.idempotency_keys (expires_at);
COMMENT ON TABLE ar.idempotency_keys IS 'First answers to requests that carried an Idempotency-Key.';
COMMENT ON COLUMN ar.idempotency_keys.user_id IS 'Who sent it: keys of two people never meet.';
COMMENT ON COLUMN ar.idempotency_keys.key IS 'The key as sent.';
COMMENT ON COLUMN ar.idempotency_keys.body_hash IS 'SHA-256 of the request body: another body under the same key is refused.';
COMMENT ON COLUMN ar.idempotency_keys.response_status IS 'HTTP status of the first answer; null while it is being made.';
COMMENT ON COLUMN ar.idempotency_keys.response_body IS 'Body of the first answer.';
COMMENT ON COLUMN ar.idempotency_keys.expires_at IS 'When the row may be swept.';

CREATE TABLE ar.audit_log (
    id          uuid CONSTRAINT audit_log_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    at          timestamptz NOT NULL DEFAULT now(),
    actor_id    uuid CONSTRAINT audit_log_actor_id_fkey REFERENCES ar.users (id) ON DELETE SET NULL,
    action      varchar(100) NOT NULL,
    object_kind varchar(50)  NOT NULL,
    object_id   varchar(255),
    detail      jsonb,
    ip_address  inet,
    request_id  varchar(128)
);
CREATE INDEX audit_log_at_idx ON ar.audit_log (at DESC, id DESC);
CREATE INDEX audit_log_actor_id_idx ON ar.audit_log (actor_id, at DESC);
COMMENT ON TABLE ar.audit_log IS 'Who changed what and when: one row for every act of an admin.';
COMMENT ON COLUMN ar.audit_log.id IS 'Identity, UUID v7.';
COMMENT ON COLUMN ar.audit_log.at IS 'When, by the database''s clock.';
COMMENT ON COLUMN ar.audit_log.actor_id IS 'Who; null when it was the command line or the account is gone.';
COMMENT ON COLUMN ar.audit_log.action IS 'What was done, such as `decoration.replace`.';
COMMENT ON COLUMN ar.audit_log.object_kind IS 'Kind of the thing changed.';
COMMENT ON COLUMN ar.audit_log.object_id IS 'Which one.';
COMMENT ON COLUMN ar.audit_log.detail IS 'What changed, without secrets.';
COMMENT ON COLUMN ar.audit_log.ip_address IS 'Address it came from.';
COMMENT ON COLUMN ar.audit_log.request_id IS 'X-Request-Id of the request.';

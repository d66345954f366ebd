-- What signing in needs beyond the first tables. A session is one token family: its id is the family's.
DROP INDEX ar.user_sessions_family_id_idx;
ALTER TABLE ar.user_sessions DROP COLUMN family_id;
ALTER TABLE ar.user_sessions ADD COLUMN access_changed_at timestamptz;
CREATE INDEX user_sessions_access_changed_at_idx ON ar.user_sessions (access_changed_at) WHERE access_changed_at IS NOT NULL;
COMMENT ON TABLE ar.user_sessions IS 'Signed-in sessions: one row a token family, locked by refresh, logout and revocation alike.';
COMMENT ON COLUMN ar.user_sessions.id IS 'Identity of the session and of its token family; the access token''s `sid`.';
COMMENT ON COLUMN ar.user_sessions.access_changed_at IS 'When what it may do last changed: it was ended early, or its user''s role or activity changed; null when it never did. Instances look here for what a lost notice did not tell them.';

CREATE TABLE ar.password_resets (
    token_hash bytea CONSTRAINT password_resets_pkey PRIMARY KEY CONSTRAINT password_resets_token_hash_sha256 CHECK (octet_length(token_hash) = 32),
    user_id    uuid NOT NULL CONSTRAINT password_resets_user_id_fkey REFERENCES ar.users (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX password_resets_user_id_idx ON ar.password_resets (user_id);
CREATE INDEX password_resets_expires_at_idx ON ar.password_resets (expires_at);
COMMENT ON TABLE ar.password_resets IS 'Single-use tokens with which a person sets a new password; a row is deleted when it is used.';
COMMENT ON COLUMN ar.password_resets.token_hash IS 'SHA-256 of the token.';
COMMENT ON COLUMN ar.password_resets.user_id IS 'Whose password it sets.';
COMMENT ON COLUMN ar.password_resets.expires_at IS 'End of its life.';

-- As text, so that a repeated request gets the first answer to the letter.
ALTER TABLE ar.idempotency_keys ALTER COLUMN response_body TYPE json;

-- The list of users is read newest first.
CREATE INDEX users_created_at_idx ON ar.users (created_at DESC, id DESC);

-- Deleted decorations are listed by themselves, and are few.
CREATE INDEX decorations_deleted_idx ON ar.decorations (created_at DESC, id DESC) WHERE deleted_at IS NOT NULL;

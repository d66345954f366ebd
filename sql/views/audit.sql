CREATE VIEW gis.audit AS
SELECT a.id, a.at, a.actor_id, a.action, a.object_kind, a.object_id, a.detail
FROM ar.audit_log a;
COMMENT ON VIEW gis.audit IS 'Who changed what and when: one row for every act of an admin, without addresses. actor_id is null when it was the command line, or the account is gone.';
COMMENT ON COLUMN gis.audit.id IS 'Identity of the act.';
COMMENT ON COLUMN gis.audit.at IS 'When, by the database''s clock.';
COMMENT ON COLUMN gis.audit.actor_id IS 'Who: the account; null when it was the command line, or the account is gone.';
COMMENT ON COLUMN gis.audit.action IS 'What was done, such as `decoration.replace`.';
COMMENT ON COLUMN gis.audit.object_kind IS 'Kind of the thing changed.';
COMMENT ON COLUMN gis.audit.object_id IS 'Which one.';
COMMENT ON COLUMN gis.audit.detail IS 'What changed, without secrets.';

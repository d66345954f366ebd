CREATE VIEW gis.audit AS
SELECT a.id, a.at, a.actor_id, a.action, a.object_kind, a.object_id, a.detail
FROM ar.audit_log a;
COMMENT ON VIEW gis.audit IS 'Who changed what and when: one row for every act of an admin, without addresses. actor_id is null when it was the command line, or the account is gone.';

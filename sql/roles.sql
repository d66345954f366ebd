-- ar_analyst reads schema gis and nothing else, makes no temporary objects, and cannot run for ever.
-- A database user that may not make roles can have it made once by hand; `ar-supervisor doctor` says how.
DO $$
BEGIN
    IF to_regrole('ar_analyst') IS NULL THEN
        IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
            RAISE WARNING 'role ar_analyst is missing and % may not make it: as a superuser, CREATE ROLE ar_analyst LOGIN; then migrate again', current_user;
            RETURN;
        END IF;
        CREATE ROLE ar_analyst LOGIN;
        ALTER ROLE ar_analyst SET default_transaction_read_only = on;
        ALTER ROLE ar_analyst SET statement_timeout = '30s';
        ALTER ROLE ar_analyst SET search_path = gis, public;
        COMMENT ON ROLE ar_analyst IS 'Reads schema gis of the AR supervisor. Set a password, or a line in pg_hba.conf, to let somebody in.';
    END IF;
    GRANT USAGE ON SCHEMA gis TO ar_analyst;
    GRANT SELECT ON ALL TABLES IN SCHEMA gis TO ar_analyst;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gis TO ar_analyst;
    REVOKE ALL ON SCHEMA ar FROM PUBLIC;
    -- PUBLIC has this right on every new database.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;

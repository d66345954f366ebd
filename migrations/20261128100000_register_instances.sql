-- Who serves on this database, and what is done by one of them for all.

CREATE TABLE ar.instances (
    id            uuid CONSTRAINT instances_pkey PRIMARY KEY,
    host          varchar(255) NOT NULL,
    address       varchar(64) NOT NULL,
    version       varchar(50) NOT NULL,
    sql_layer     varchar(64) NOT NULL,
    state         varchar(20) NOT NULL CONSTRAINT instances_state_known CHECK (state IN ('serving', 'stopping')),
    started_at    timestamptz NOT NULL DEFAULT now(),
    edge_sockets  integer NOT NULL CONSTRAINT instances_edge_sockets_range CHECK (edge_sockets >= 0),
    admin_sockets integer NOT NULL CONSTRAINT instances_admin_sockets_range CHECK (admin_sockets >= 0),
    last_seen     timestamptz NOT NULL DEFAULT now(),
    lease_until   timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE ar.instances IS 'Instances of the service that run on this database. One that stops takes its row away; one that is gone without a word is lost once its lease has run out, and stays as such for some minutes.';
COMMENT ON COLUMN ar.instances.id IS 'The run of a process: edge_sessions.instance_id.';
COMMENT ON COLUMN ar.instances.host IS 'Name of the machine, or of the container.';
COMMENT ON COLUMN ar.instances.address IS 'Address and port that it listens on there.';
COMMENT ON COLUMN ar.instances.version IS 'Version of the program.';
COMMENT ON COLUMN ar.instances.sql_layer IS 'Digest of the files of sql/ that it was built with; another one than in ar.meta: it is older or newer than the schema.';
COMMENT ON COLUMN ar.instances.state IS '`serving` or `stopping`.';
COMMENT ON COLUMN ar.instances.started_at IS 'When it began to serve.';
COMMENT ON COLUMN ar.instances.edge_sockets IS 'Sockets of edges that it held at its last beat.';
COMMENT ON COLUMN ar.instances.admin_sockets IS 'Sockets of admins that it held at its last beat.';
COMMENT ON COLUMN ar.instances.last_seen IS 'Its last beat, by the database''s clock.';
COMMENT ON COLUMN ar.instances.lease_until IS 'Until when it counts as alive, by the database''s clock.';

CREATE TABLE ar.rounds (
    work     varchar(50) CONSTRAINT rounds_pkey PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT now(),
    begun_by uuid NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE ar.rounds IS 'Work that is done again and again, each time by whichever instance comes first when it is due.';
COMMENT ON COLUMN ar.rounds.work IS 'What is done.';
COMMENT ON COLUMN ar.rounds.begun_at IS 'When the last round began.';
COMMENT ON COLUMN ar.rounds.begun_by IS 'The instance that began it.';

-- What changed since a moment: GIS tools that keep a copy ask for it.
CREATE INDEX decorations_updated_at_idx ON ar.decorations (updated_at) WHERE is_active AND deleted_at IS NULL;

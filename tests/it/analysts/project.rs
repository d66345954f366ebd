//! The QGIS project names only what is there. (That QGIS opens it, `make qgis` shows.)

use std::collections::BTreeSet;

use super::{analyst, populated, texts};

/// The value of a key of a data source, such as `key='gid'`.
fn value<'s>(source: &'s str, key: &str) -> &'s str {
    source.split_once(&format!("{key}='")).and_then(|(_, rest)| rest.split_once('\'')).unwrap_or_else(|| panic!("no {key} in {source}")).0
}

#[tokio::test]
async fn every_layer_of_the_project_has_its_view_key_and_geometry() {
    let mut connection = analyst(populated().await).await;
    let project = include_str!("../../../sql/qgis/ar-supervisor.qgs");
    for foreign in ["/tmp", "/home", "/root", "host=", "password", "authcfg="] {
        assert!(!project.contains(foreign), "{foreign} is in the project");
    }
    let sources = project.split("<datasource>").skip(1).map(|rest| rest.split_once("</datasource>").expect("an end").0);
    // The layer of annotations has none.
    let sources: BTreeSet<&str> = sources.filter(|source| !source.is_empty()).collect();
    assert!(sources.len() >= 10, "{sources:#?}");
    for source in sources {
        assert_eq!((value(source, "service"), value(source, "key")), ("ar-supervisor", "gid"), "{source}");
        // table="gis"."edges" (geom), perhaps with a filter after it.
        let table = source.split_once("table=\"gis\".\"").expect("a table of gis").1.replace("&quot;", "\"");
        let (view, rest) = table.split_once('"').expect("a name");
        let column = rest.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("a geometry column").0;
        let typed = format!(
            "SELECT type FROM geometry_columns WHERE f_table_schema = 'gis' AND f_table_name = '{view}' AND f_geometry_column = '{column}' AND srid = 4326"
        );
        let kind = texts(&mut connection, &typed).await;
        assert_eq!(kind.len(), 1, "{view}.{column} is no layer");
        let stated = source.split_once("type=").expect("a type").1.split_whitespace().next().expect("a word");
        assert_eq!(stated.to_uppercase(), kind[0], "{view}");
        let key =
            format!("SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'gis.{view}'::regclass AND attname = 'gid'");
        assert_eq!(texts(&mut connection, &key).await, ["bigint"], "{view}");
    }
}

//! Compose file, unit, manifests and image beside what the service reads, listens on and takes to stop.

use std::collections::BTreeMap;
use std::time::Duration;

use ar_supervisor::commands::STOPS_WITHIN;
use ar_supervisor::config::SECRET_VARIABLES;
use rstest::rstest;
use yaml_serde::Value;

use super::reading::{assignments, interpolated, manifest, text, texts, understood, yaml};

const INSTANCES: [&str; 2] = ["instance-1", "instance-2"];

fn compose() -> Value {
    yaml("docker/compose.yaml").pop().expect("a document")
}

fn of_compose(instance: &str) -> BTreeMap<String, String> {
    let compose = compose();
    let variables = compose["services"][instance]["environment"].as_mapping().expect("variables");
    let text = |value: &Value| value.as_str().expect("texts only: a number or `yes` would come as somebody else's text").to_owned();
    variables.iter().map(|(name, value)| (text(name), interpolated(&text(value)))).collect()
}

/// The directives of the unit, in their order.
fn unit() -> Vec<(String, String)> {
    let unit = text("docker/systemd/ar-supervisor.service");
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn directives(name: &str) -> Vec<String> {
    unit().into_iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect()
}

fn directive(name: &str) -> String {
    directives(name).pop().unwrap_or_else(|| panic!("{name} in the unit"))
}

fn of_unit() -> BTreeMap<String, String> {
    assignments(directives("Environment").iter().map(String::as_str))
}

fn pod() -> Value {
    manifest("deployment.yaml", "Deployment")["spec"]["template"]["spec"].clone()
}

fn of_kubernetes() -> BTreeMap<String, String> {
    let settings = text("docker/kubernetes/settings.env");
    let mut variables = assignments(settings.lines());
    let pod = pod();
    for variable in pod["containers"][0]["env"].as_sequence().expect("variables") {
        let text = |name: &str| variable[name].as_str().expect("a text").to_owned();
        variables.insert(text("name"), text("value"));
    }
    variables
}

/// The words after an instruction of the image's last stage.
fn of_image(instruction: &str) -> String {
    let file = text("docker/Dockerfile");
    let stage = file.rsplit("\nFROM ").next().expect("a stage");
    let line = stage.lines().find_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{instruction} in the Dockerfile")).to_owned()
}

#[rstest]
#[case::compose(of_compose(INSTANCES[0]))]
#[case::compose_too(of_compose(INSTANCES[1]))]
#[case::systemd(of_unit())]
#[case::kubernetes(of_kubernetes())]
fn every_variable_is_read_and_can_be_used_and_no_secret_stands_among_them(#[case] variables: BTreeMap<String, String>) {
    let understood = understood(&variables);
    let unread: Vec<&String> = variables.keys().filter(|name| !understood.asked.contains(*name)).collect();
    assert!(unread.is_empty(), "the service reads none of {unread:?}");
    for secret in SECRET_VARIABLES {
        let Some(value) = variables.get(secret) else { continue };
        let url = url::Url::parse(value).unwrap_or_else(|_| panic!("{secret} stands in the open"));
        assert_eq!(url.password(), None, "{secret}");
        assert!(variables.contains_key("DB_PASSWORD_FILE"));
    }
    let password = |options: &sqlx::postgres::PgConnectOptions| sqlx::ConnectOptions::to_url_lossy(options).password().is_some();
    assert!(password(&understood.database.primary));
    assert!(understood.database.replica.as_ref().is_none_or(password), "the replica takes the same password");
}

#[test]
fn image_and_manifests_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let dockerfile = text("docker/Dockerfile");
    let argument = dockerfile.lines().find_map(|line| line.strip_prefix("ARG VERSION="));
    assert_eq!(argument, Some(version));
    assert_eq!(yaml("docker/kubernetes/kustomization.yaml")[0]["images"][0]["newTag"].as_str(), Some(version));
}

#[test]
fn ports_are_those_of_the_service() {
    let secret = BTreeMap::from([("JWT_SECRET_FILE".to_owned(), String::new())]);
    let default = understood(&secret).server.port;
    let exposed = of_image("EXPOSE");
    let (port, metrics) = exposed.split_once(' ').expect("two ports");
    assert_eq!(port, default.to_string());

    let proxy = compose()["services"]["proxy"]["environment"].clone();
    for (number, instance) in (1..).zip(INSTANCES) {
        let variables = of_compose(instance);
        assert_eq!(understood(&variables).server.port, default);
        assert_eq!(variables["METRICS_PORT"], metrics);
        assert_eq!(proxy[format!("INSTANCE_{number}").as_str()].as_str(), Some(format!("{instance}:{port}").as_str()));
    }

    assert_eq!(understood(&of_unit()).server.port, default);
    assert_eq!(of_unit()["METRICS_PORT"], metrics);
    assert_eq!(directives("SocketBindAllow"), [format!("tcp:{port}"), format!("tcp:{metrics}")]);

    assert_eq!(understood(&of_kubernetes()).server.port, default);
    assert_eq!(of_kubernetes()["METRICS_PORT"], metrics);
    let ports: BTreeMap<String, String> = pod()["containers"][0]["ports"]
        .as_sequence()
        .expect("ports")
        .iter()
        .map(|port| (port["name"].as_str().expect("a name").to_owned(), port["containerPort"].as_u64().expect("a number").to_string()))
        .collect();
    assert_eq!(ports, BTreeMap::from([("http".to_owned(), port.to_owned()), ("metrics".to_owned(), metrics.to_owned())]));
}

#[test]
fn nobody_kills_it_before_it_has_stopped_by_itself() {
    let duration = |text: &str| humantime::parse_duration(text).expect("a duration");
    let compose = compose();
    let grace = |service: &str| duration(compose["services"][service]["stop_grace_period"].as_str().expect("a grace period"));
    let takes = |variables: &BTreeMap<String, String>| understood(variables).server.stop_delay + STOPS_WITHIN;
    for instance in INSTANCES {
        assert!(grace(instance) > takes(&of_compose(instance)));
    }
    let proxy = text("docker/haproxy/haproxy.cfg");
    let hard_stop = proxy.lines().find_map(|line| line.trim().strip_prefix("hard-stop-after ")).map(duration).expect("a hard stop");
    assert!(hard_stop > STOPS_WITHIN && grace("proxy") > hard_stop);

    let stop_s: u64 = directive("TimeoutStopSec").parse().expect("seconds");
    assert!(Duration::from_secs(stop_s) > takes(&of_unit()));

    let grace_s = pod()["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    assert!(Duration::from_secs(grace_s) > takes(&of_kubernetes()));
    assert_eq!(of_image("STOPSIGNAL"), "SIGTERM");
    assert_eq!(directive("KillSignal"), "SIGTERM");
}

#[test]
fn nobody_is_root_or_writes_to_its_own_image() {
    let user = of_image("USER");
    let (uid, _) = user.split_once(':').expect("user and group");
    assert!(uid.parse::<u32>().expect("a number, which Kubernetes can judge") > 0);

    let compose = compose();
    for instance in INSTANCES {
        let service = &compose["services"][instance];
        assert_eq!(service["user"].as_str(), Some(user.as_str()));
        assert_eq!(service["read_only"].as_bool(), Some(true));
        assert_eq!(texts(&service["cap_drop"]), ["ALL"]);
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"]);
    }

    assert_eq!(directive("DynamicUser"), "yes");
    assert_eq!(directive("ProtectSystem"), "strict");
    assert_eq!(directive("CapabilityBoundingSet"), "");

    let pod = pod();
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    assert_eq!(pod["securityContext"]["runAsUser"].as_u64().map(|uid| uid.to_string()).as_deref(), Some(uid));
    for container in ["containers", "initContainers"].map(|kind| &pod[kind][0]) {
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"].as_bool(), Some(true));
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"].as_bool(), Some(false));
        assert_eq!(texts(&container["securityContext"]["capabilities"]["drop"]), ["ALL"]);
    }
}

#[test]
fn only_the_proxy_is_published_and_only_it_is_believed() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services");
    let networks = |service: &Value| texts(&service["networks"]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut believed = Vec::new();
    for (name, service) in services {
        let name = name.as_str().expect("a name");
        for port in texts(&service["ports"]) {
            assert!(name == "proxy" || port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        if networks(service).contains(&"proxied".to_owned()) {
            believed.push(name);
        }
    }
    believed.sort_unstable();
    assert_eq!(believed, ["instance-1", "instance-2", "proxy"]);
    let subnet = compose["networks"]["proxied"]["ipam"]["config"][0]["subnet"].as_str().expect("a subnet");
    for instance in INSTANCES {
        let server = understood(&of_compose(instance)).server;
        assert_eq!(server.http.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), [subnet]);
        assert!(server.http.require_https);
    }
    for database in ["primary", "replica"] {
        assert_eq!(networks(&services[database]), ["databases"]);
    }
    assert_eq!(compose["networks"]["databases"]["internal"].as_bool(), Some(true));
}

#[test]
fn connections_to_the_database_suffice_for_all_instances_and_their_successors() {
    let postgres = text("docker/postgres/postgresql.conf");
    let allowed: u32 =
        postgres.lines().find_map(|line| line.strip_prefix("max_connections = ")).expect("a setting").parse().expect("a number");
    let per_instance: u32 = INSTANCES.iter().map(|instance| understood(&of_compose(instance)).database.max_connections).sum();
    // As many again while they are replaced, and the rest for people.
    assert!(allowed >= 2 * per_instance + 20, "{allowed}");

    let most = manifest("autoscaler.yaml", "HorizontalPodAutoscaler")["spec"]["maxReplicas"].as_u64().expect("a number");
    let surge = manifest("deployment.yaml", "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"].as_u64().expect("a number");
    let wanted = (most + surge) * u64::from(understood(&of_kubernetes()).database.max_connections);
    assert!(u64::from(allowed) >= wanted + 20, "{wanted} of {allowed}");
}

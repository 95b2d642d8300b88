//! The configuration file: its defaults, what it refuses, and its schema.

use pbx_policy::{Config, Rules};

#[test]
fn an_empty_file_is_valid_and_writes_back_as_it_reads() {
    let empty: Config = toml::from_str("").unwrap();
    assert_eq!(empty, Config::default());
    assert!(Rules::compile(&empty).is_ok());
    let text = toml::to_string(&empty).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), empty, "{text}");
    let json = serde_json::to_string(&empty).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), empty);
}

#[test]
fn keys_that_do_not_exist_are_refused_at_every_level() {
    for (text, key) in [
        ("netwrok = {}", "netwrok"),
        ("network.alowed = []", "alowed"),
        ("[[network.rule]]\nname = 'a'\nsource = 'b'", "source"),
        ("network.country.allow = []", "allow"),
        ("registration.pair = { failures = 1, within = '1s', block = '1s', x = 1 }", "x"),
        ("[[extension]]\nnumber = '1'\nregistration.device = 2", "device"),
        ("services.sips = {}", "sips"),
    ] {
        let error = toml::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field `{key}`")), "{text}: {error}");
    }
}

#[test]
fn the_same_text_gives_the_same_version_and_another_another() {
    let version = |text: &str| Rules::compile(&toml::from_str(text).unwrap()).unwrap().version();
    assert_eq!(version("network.default = 'accept'"), version(""), "a default that is written out");
    assert_ne!(version("network.allowed = ['192.0.2.1']"), version(""));
    assert_eq!(version("").to_string().len(), 16);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = "network.lan = ['x']\nregistration.pair = { failures = 0, within = '1s', block = '1s' }\n\
                services.web.groups = ['nobody']\n[[extension]]\nnumber = '1'\nregistration.devices = 0\n\
                [[network.auto_defence]]\nname = ''\npackets = 0\ninterval = '1s'";
    let errors = Rules::compile(&toml::from_str(text).unwrap()).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path().to_owned()).collect();
    for path in [
        "network.lan[0]",
        "registration.pair.failures",
        "services.web.groups[0]",
        "extension[0].registration.devices",
        "network.auto_defence[0].name",
        "network.auto_defence[0].packets",
    ] {
        assert!(paths.iter().any(|p| p == path), "{path} in {paths:?}");
    }
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_describes_every_key() {
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    let network = &schema["$defs"]["NetworkConfig"]["properties"];
    for key in ["allowed", "rule", "auto_defence", "country", "feed"] {
        assert!(network[key].is_object(), "{key}");
    }
    let described = |properties: &serde_json::Value| {
        properties.as_object().unwrap().iter().all(|(_, v)| v["description"].is_string())
    };
    assert!(described(&schema["properties"]), "every section says what it is for");
    assert!(described(network));
}

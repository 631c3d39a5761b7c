//! Small projects of every kind, and what is made of each.

#![allow(clippy::unwrap_used)]
use std::{fs, os::unix::fs::PermissionsExt};

use push::PushToken;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::{
    ForeignCodes, Missed, OPERATOR_SECRET_LENGTH, Secret, SimUser, StoreSetting, Ttl, UnknownTemplates,
    Withdrawn,
};

const CONFIG: (&str, &str) = (
    "project.config.json",
    r#"{"appid":"wx0123456789abcdef","cloudfunctionRoot":"cloudfunctions/"}"#,
);
const LOGIN: (&str, &str) = ("cloudfunctions/login/index.js", "exports.main = async () => 1");

/// A project of these files; those in `cloudfunctions/secrets` and named `secret` are private.
fn lay(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if name.ends_with("secret") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    dir
}

/// As [`Project::open`], with the environment's secret given.
fn open_with(dir: &Path, secret: Option<&str>) -> Result<Project, ProjectError> {
    Files {
        root: dir,
        toml: dir.join(settings::FILE),
        toml_required: false,
        scope: Scope::Whole,
    }
    .read(Environment {
        secret: secret.map(Secret::from),
        ..Environment::default()
    })
}

fn open(files: &[(&str, &str)]) -> (TempDir, Project) {
    let dir = lay(files);
    let project = open_with(dir.path(), None).unwrap();
    (dir, project)
}

/// The refusal of a project of these files, without the folder's name.
fn refusal(files: &[(&str, &str)]) -> String {
    let dir = lay(files);
    let error = open_with(dir.path(), None).unwrap_err().to_string();
    error.replace(&format!("{}/", dir.path().display()), "")
}

fn toml_refusal(toml: &str) -> String {
    refusal(&[CONFIG, LOGIN, ("yunqiao.toml", toml)])
}

#[test]
fn project_config_json_alone_is_enough() {
    let (dir, project) = open(&[CONFIG, LOGIN]);
    assert_eq!(project.appid.as_deref(), Some("wx0123456789abcdef"));
    assert_eq!(project.env_id, DEFAULT_ENV_ID);
    assert_eq!(project.findings, []);
    let login = &project.functions["login"].function;
    assert_eq!(login.entry, dir.path().join(LOGIN.0));
    assert_eq!((login.timeout, login.memory_mb), (Duration::from_secs(3), 256));
    assert_eq!((login.concurrency, login.max_instances), (1, 10));
    assert_eq!((&login.manifest, &login.problem), (&None, &None));
}

#[test]
fn yunqiao_toml_alone_is_enough() {
    let (_dir, project) = open(&[
        ("yunqiao.toml", "appid = \"wx1\"\nfunctions = \"f\""),
        ("f/a/index.mjs", ""),
    ]);
    assert_eq!(project.appid.as_deref(), Some("wx1"));
    assert!(project.functions["a"].function.is_module());
}

#[test]
fn neither_says_what_was_looked_for_and_how_to_begin() {
    let dir = lay(&[LOGIN]);
    let text = open_with(dir.path(), None).unwrap_err().to_string();
    for part in ["project.config.json", "yunqiao.toml", "yunqiao init"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        Project::from_config(&dir.path().join("yunqiao.toml"))
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn from_config_finds_the_other_files_beside_it() {
    let dir = lay(&[CONFIG, LOGIN, ("other.toml", "env = \"prod\"")]);
    let project = Project::from_config(&dir.path().join("other.toml")).unwrap();
    assert_eq!(
        (project.env_id.as_str(), project.root.as_path()),
        ("prod", dir.path())
    );
    assert!(project.functions.contains_key("login"));
}

#[test]
fn the_last_word_is_yunqiao_toml_s() {
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("cloudfunctions/steps/index.js", ""),
        (
            "cloudbaserc.json",
            r#"{"envId":"rc-env","functionRoot":"nowhere","functions":[
              {"name":"login","timeout":20,"memorySize":512,"envVariables":{"A":"rc","B":"rc"}},
              {"name":"steps","timeout":900}]}"#,
        ),
        (
            "yunqiao.toml",
            "appid = \"wx2\"\n[functions.login]\ntimeout = \"10s\"\nconcurrency = 64\nmax_instances = 2\n\
             env = { A = \"toml\", EMPTY = \"\" }",
        ),
    ]);
    assert_eq!(project.appid.as_deref(), Some("wx2"));
    assert_eq!(project.env_id, "rc-env");
    let login = &project.functions["login"].function;
    assert_eq!((login.timeout, login.memory_mb), (Duration::from_secs(10), 512));
    assert_eq!((login.concurrency, login.max_instances), (64, 2));
    let variables: Vec<_> = login
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(variables, ["A=toml", "B=rc", "EMPTY="]);
    let problem = project.functions["steps"].function.problem.as_ref().unwrap();
    let problem = &problem.en;
    assert!(
        problem.contains("timeout 900") && problem.contains("1 to 300 seconds"),
        "{problem}"
    );
}

#[test]
fn cloudbaserc_s_functions_may_lie_elsewhere_and_have_timers() {
    let (dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("cloudfunctions/of-another-name/index.js", ""),
        ("cloudfunctions/report/index.js", ""),
        (
            "cloudfunctions/report/config.json",
            r#"{"triggers":[{"name":"own","type":"timer","config":"0 0 2 1 * * *"}]}"#,
        ),
        ("services/pay/index.js", ""),
        ("functions/by-name/index.js", ""),
        ("functions/inner/mail/index.js", ""),
        ("cloudbaserc.js", "module.exports = {}"),
        (
            "cloudbaserc.json",
            r#"{"functions":[
              {"name":"login","timeout":300,"triggers":[{"name":"nightly","type":"timer","config":"0 0 3 * * * *"}]},
              {"name":"report","triggers":[{"name":"theirs","type":"timer","config":"0 0 3 * * * *"}]},
              {"name":"renamed","dir":"cloudfunctions/of-another-name"},
              {"name":"pay","dir":"./services/pay"},
              {"name":"mail","dir":"inner/mail"},
              {"name":"by-name"},
              {"name":"logn"},
              {"name":"gone"}]}"#,
        ),
    ]);
    let folders: Vec<_> = project
        .functions
        .iter()
        .map(|(name, listed)| {
            let folder = listed.function.dir.canonicalize().unwrap();
            let folder = folder.strip_prefix(dir.path().canonicalize().unwrap()).unwrap();
            format!("{name} {}", folder.display())
        })
        .collect();
    assert_eq!(
        folders,
        [
            "by-name functions/by-name",
            "login cloudfunctions/login",
            "mail functions/inner/mail",
            "pay services/pay",
            "renamed cloudfunctions/of-another-name",
            "report cloudfunctions/report",
        ]
    );
    let timers = |name: &str| -> Vec<String> {
        let triggers = project.functions[name].triggers.iter();
        triggers.map(|trigger| trigger.name.clone()).collect()
    };
    assert_eq!(
        (timers("login"), timers("report")),
        (vec!["nightly".to_owned()], vec!["own".to_owned()])
    );
    assert_eq!(
        project.functions["login"].function.timeout,
        Duration::from_secs(300)
    );
    let told: Vec<_> = project
        .findings
        .iter()
        .map(|finding| format!("{} — {}", finding.what, finding.mend))
        .collect();
    assert_eq!(
        told,
        [
            "it is a program, and is not run: nothing of what it says counts — write what it says of functions and site into \
             cloudbaserc.json, or into yunqiao.toml",
            "it lists the function gone, which has no folder with anything to run — add the folder, say where it is as `dir`, \
             or remove the entry",
            "it lists the function logn, which has no folder with anything to run — did you mean `login`?",
        ]
    );
}

#[test]
fn what_does_not_count_is_kept_with_its_reason() {
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        (
            "cloudfunctions/login/config.json",
            r#"{"permissions":{"openapi":"wxacode.get"},"triggers":[{"name":"t","type":"timer","config":"0 */90 * * * * *"}]}"#,
        ),
        ("cloudfunctions/steps/index.js", ""),
        ("cloudfunctions/steps/config.json", "{ half"),
        (
            "cloudbaserc.json",
            r#"{"functions":[{"name":"steps","triggers":[{"name":"t","type":"timer","config":"0 0 7 * * 7"}]}]}"#,
        ),
    ]);
    let login = &project.functions["login"];
    let first = |faults: &[crate::files::FileFault]| faults[0].to_string();
    assert!(first(&login.permission_faults).contains("no array"));
    assert!(first(&login.trigger_faults).starts_with("line 1: the trigger \"t\" never fires"));
    let steps = &project.functions["steps"];
    assert!(first(&steps.permission_faults).contains("the file is ignored"));
    assert!(first(&steps.trigger_faults).contains("never fires"));
    assert!(login.triggers.is_empty() && steps.triggers.is_empty());
}

#[test]
fn yunqiao_toml_mends_what_cloudbaserc_gives_beyond_the_limits() {
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        (
            "cloudbaserc.json",
            r#"{"functions":[{"name":"login","timeout":900}]}"#,
        ),
        ("yunqiao.toml", "[functions.login]\ntimeout = 60"),
    ]);
    assert_eq!(project.functions["login"].function.problem, None);
    assert_eq!(
        project.functions["login"].function.timeout,
        Duration::from_secs(60)
    );
}

#[test]
fn where_the_functions_lie_in_order_of_precedence() {
    let rc = ("cloudbaserc.json", r#"{"functionRoot":"rc"}"#);
    let bare = ("project.config.json", r#"{"appid":"wx1"}"#);
    let all = [LOGIN, ("rc/r/index.js", ""), ("own/o/index.js", "")];
    let names = |files: &[(&str, &str)]| {
        let (_dir, project) = open(&[&all, files].concat());
        project
            .functions
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&[CONFIG, rc, ("yunqiao.toml", "functions = \"own\"")]),
        ["o"]
    );
    assert_eq!(
        names(&[
            CONFIG,
            rc,
            ("yunqiao.toml", "[functions]\nroot = \"own\"\n[functions.o]")
        ]),
        ["o"]
    );
    assert_eq!(names(&[CONFIG, rc]), ["login"]);
    assert_eq!(names(&[bare, rc]), ["r"]);
    assert_eq!(names(&[bare]), ["login"]);

    let missing = refusal(&[("yunqiao.toml", "functions = \"clodfunctions\"")]);
    assert!(
        missing.contains("clodfunctions") && missing.contains("`functions` in yunqiao.toml"),
        "{missing}"
    );
    let (_dir, none) = open(&[bare]);
    assert!(none.findings[0].what.en.contains("no folder of cloud functions"));
}

#[test]
fn every_folder_with_something_to_run_is_a_function_and_no_other() {
    let (dir, project) = open(&[
        CONFIG,
        ("cloudfunctions/cjs/index.js", ""),
        ("cloudfunctions/esm/index.mjs", ""),
        ("cloudfunctions/typed/package.json", r#"{"type":"module"}"#),
        ("cloudfunctions/typed/index.js", ""),
        (
            "cloudfunctions/built/package.json",
            r#"{"main":"./dist/app","dependencies":{"wx-server-sdk":"~3.0.4"}}"#,
        ),
        ("cloudfunctions/built/dist/app.js", ""),
        ("cloudfunctions/folder/package.json", r#"{"main":"lib"}"#),
        ("cloudfunctions/folder/lib/index.js", ""),
        ("cloudfunctions/docs/README.md", ""),
        ("cloudfunctions/node_modules/x/index.js", ""),
        ("cloudfunctions/.hidden/index.js", ""),
        ("cloudfunctions/index.js", ""),
    ]);
    let found: Vec<String> = project
        .functions
        .values()
        .map(|listed| {
            let f = &listed.function;
            let entry = f.entry.strip_prefix(dir.path().join("cloudfunctions")).unwrap();
            format!("{} {} {}", f.name, entry.display(), f.is_module())
        })
        .collect();
    assert_eq!(
        found,
        [
            "built built/dist/app.js false",
            "cjs cjs/index.js false",
            "esm esm/index.mjs true",
            "folder folder/lib/index.js false",
            "typed typed/index.js true",
        ]
    );
    assert!(
        project
            .functions
            .values()
            .all(|listed| listed.function.problem.is_none())
    );
    assert!(
        project.functions["built"]
            .function
            .manifest
            .as_ref()
            .unwrap()
            .has_dependencies
    );
    assert_eq!(project.findings, []);
}

#[test]
fn what_exports_no_main_and_what_is_written_in_capitals_is_told() {
    let (_dir, project) = open(&[
        CONFIG,
        ("cloudfunctions/capital/Index.js", "exports.main = () => 1"),
        ("cloudfunctions/other/index.js", "module.exports = async () => 1"),
        (
            "cloudfunctions/handed/index.js",
            "module.exports = require('./lib')",
        ),
        ("cloudfunctions/given/index.js", "exports['main'] = () => 1"),
        ("cloudfunctions/module/index.mjs", "export const main = () => 1"),
        ("cloudfunctions/fragment/index.js", "console.log(1)"),
    ]);
    let problem = project.functions["capital"].function.problem.as_ref().unwrap();
    assert!(problem.en.contains("has Index.js"), "{}", problem.en);
    let told: Vec<_> = project
        .findings
        .iter()
        .map(|finding| finding.function.as_ref().map(AsRef::as_ref))
        .collect();
    assert_eq!(told, [Some("other")], "{:?}", project.findings);
    assert!(project.findings[0].what.en.contains("exports no `main`"));
}

#[test]
fn one_function_s_fault_stays_its_own() {
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        (
            "cloudfunctions/login/config.json",
            "{\n  \"permissions\": {\"openapi\": [\"a\",]}\n}",
        ),
        ("cloudfunctions/broken/package.json", "{\n  main: 1\n}"),
        ("cloudfunctions/broken/index.js", ""),
        ("cloudfunctions/lost/package.json", r#"{"main":"app.js"}"#),
        (
            "cloudfunctions/outside/package.json",
            r#"{"main":"../login/index.js"}"#,
        ),
        ("cloudfunctions/moved/package.json", r#"{"main":"app.js"}"#),
        ("cloudfunctions/moved/index.js", ""),
        ("cloudfunctions/typescript/index.ts", ""),
        (
            "cloudfunctions/compiled/package.json",
            r#"{"main":"dist/index.js"}"#,
        ),
        ("cloudfunctions/compiled/src/index.ts", ""),
        ("cloudfunctions/beside/package.json", r#"{"main":"index.js"}"#),
        ("cloudfunctions/beside/index.ts", ""),
        ("cloudfunctions/登录/index.js", ""),
    ]);
    let problem = |name: &str| {
        project.functions[name]
            .function
            .problem
            .as_ref()
            .map_or("", |problem| problem.en.as_str())
    };
    assert!(
        problem("broken").contains("package.json:2:3"),
        "{}",
        problem("broken")
    );
    for (name, source) in [
        ("typescript", "index.ts"),
        ("compiled", "src/index.ts"),
        ("beside", "index.ts"),
    ] {
        let problem = problem(name);
        assert!(
            problem.contains(&format!("has {source}")) && problem.contains("compile it first"),
            "{problem}"
        );
        assert!(!problem.contains("correct `main`"), "{problem}");
    }
    assert!(
        problem("lost").contains("\"app.js\" as main"),
        "{}",
        problem("lost")
    );
    assert!(
        problem("outside").contains("not in the folder"),
        "{}",
        problem("outside")
    );
    assert!(
        problem("typescript").contains("compile it"),
        "{}",
        problem("typescript")
    );
    assert_eq!((problem("login"), problem("moved")), ("", ""));
    assert!(
        project.functions["moved"]
            .function
            .entry
            .ends_with("moved/index.js")
    );

    let findings: Vec<String> = project.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(
        findings[0].contains("config.json: line 2, column 35") && findings[0].contains("remove the comma"),
        "{findings:?}"
    );
    assert!(
        findings[1].contains("moved/package.json") && findings[1].contains("index.js is run"),
        "{findings:?}"
    );
    assert!(
        findings[2].contains("登录") && findings[2].contains("rename the folder"),
        "{findings:?}"
    );
}

#[test]
fn every_setting_is_read() {
    let dir = lay(&[
        CONFIG,
        LOGIN,
        ("app.secret", "  0123456789abcdef0123456789abcdef\n"),
        ("operator.secret", "0perat0r-5ecret!\n"),
        ("other.secret", "0ther5ecret\n"),
        ("report.secret", "5ecretKey0fReports\n"),
        (
            "yunqiao.toml",
            r#"
            secret_file = "app.secret"
            listen = "127.0.0.1:0"
            store = "data/yunqiao.redb"
            wechat = "http://127.0.0.1:8788"
            [keys]
            ring = ["bmV3", "b2xk"]
            [login]
            ttl = "session"
            [open_data]
            max_age = "10m"
            [cors]
            origins = ["https://App.example.com", "http://localhost:5173"]
            [sim]
            foreign_codes = "refuse"
            cloud_opened = false
            lib_version = "2.6.6"
            strict = true
            session_rotation = 0x3c
            session_idle = "3d"
            withdrawn = "refuse"
            unknown_templates = "make"
            [timers]
            zone = "Europe/Berlin"
            missed = "run-once"
            [permissions]
            cache = "10m"
            [operator]
            listen = "127.0.0.1:8789"
            secret_file = "operator.secret"
            [operator.keys]
            report-server = "report.secret"
            [auth]
            anonymous = false
            ticket_keys = "tickets.json"
            passwords = "users.toml"
            [apps.wxfedcba9876543210]
            secret_file = "other.secret"
            "#,
        ),
    ]);
    fs::set_permissions(dir.path().join("yunqiao.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let project = open_with(dir.path(), None).unwrap();
    let settings = &project.settings;
    assert_eq!(project.findings, []);
    assert_eq!(
        settings.secret.as_ref().unwrap().expose_secret(),
        "0123456789abcdef0123456789abcdef"
    );
    assert_eq!(settings.listen, Some("127.0.0.1:0".parse().unwrap()));
    let store = settings.store.as_ref().and_then(StoreSetting::file);
    assert_eq!(store, Some(&*dir.path().join("data/yunqiao.redb")));
    assert_eq!(settings.wechat.as_deref(), Some("http://127.0.0.1:8788"));
    assert_eq!(
        settings
            .keys
            .iter()
            .map(|key| key.expose_secret())
            .collect::<Vec<_>>(),
        ["bmV3", "b2xk"]
    );
    assert_eq!(settings.login.ttl, Ttl::Session);
    assert_eq!(settings.open_data_max_age, Duration::from_secs(600));
    assert_eq!(
        settings.cors_origins,
        ["https://app.example.com", "http://localhost:5173"]
    );
    assert_eq!(settings.sim.foreign_codes, Some(ForeignCodes::Refuse));
    assert_eq!(
        (settings.sim.cloud_opened, settings.sim.strict),
        (Some(false), Some(true))
    );
    assert_eq!(settings.sim.lib_version.as_deref(), Some("2.6.6"));
    assert_eq!(settings.sim.session_rotation, Some(Duration::from_secs(60)));
    assert_eq!(settings.sim.session_idle, Some(Duration::from_secs(259_200)));
    assert_eq!(settings.sim.withdrawn, Some(Withdrawn::Refuse));
    assert_eq!(settings.sim.unknown_templates, Some(UnknownTemplates::Make));
    assert_eq!(settings.timers.zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(settings.timers.missed, Missed::RunOnce);
    assert_eq!(settings.permissions_cache, Duration::from_secs(600));
    let operator = &settings.operator;
    assert_eq!(operator.listen, Some("127.0.0.1:8789".parse().unwrap()));
    assert_eq!(
        operator.secret.as_ref().unwrap().expose_secret(),
        "0perat0r-5ecret!"
    );
    assert_eq!(
        operator.keys["report-server"].expose_secret(),
        "5ecretKey0fReports"
    );
    assert_eq!(settings.auth.anonymous, Some(false));
    assert_eq!(settings.auth.ticket_keys, Some(dir.path().join("tickets.json")));
    assert_eq!(settings.auth.passwords, Some(dir.path().join("users.toml")));
    assert_eq!(settings.apps.len(), 1);
    assert_eq!(settings.apps["wxfedcba9876543210"].expose_secret(), "0ther5ecret");
    let shown = format!("{project:?}");
    for secret in [
        "0123456789abcdef0123456789abcdef",
        "bmV3",
        "0perat0r-5ecret!",
        "0ther5ecret",
        "5ecretKey0fReports",
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn the_environment_s_secret_goes_first_and_needs_no_file() {
    let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", "secret_file = \"gone\"")]);
    let project = open_with(dir.path(), Some("from-environment")).unwrap();
    assert_eq!(
        project.settings.secret.unwrap().expose_secret(),
        "from-environment"
    );
    let text = open_with(dir.path(), None).unwrap_err().to_string();
    assert!(text.contains("yunqiao.toml:1") && text.contains("gone"), "{text}");
}

#[test]
fn the_environment_s_operator_secret_goes_first_and_is_judged_alike() {
    let environment =
        |value: &str| Environment::read(|name| (name == "YUNQIAO_OPERATOR_SECRET").then(|| value.to_owned()));
    for toml in [
        "operator.secret_file = \"gone\"",
        "operator.secret = \"0perat0r-5ecret!\"",
        "",
    ] {
        let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", toml)]);
        let files = Files {
            root: dir.path(),
            toml: dir.path().join(settings::FILE),
            toml_required: false,
            scope: Scope::Whole,
        };
        let project = files
            .read(environment(" from-the-environment\n").unwrap())
            .unwrap();
        assert!(project.settings.secret.is_none());
        let secret = project.settings.operator.secret.unwrap();
        assert_eq!(secret.expose_secret(), "from-the-environment", "{toml}");
    }
    assert!(environment(" ").unwrap().operator_secret.is_none());
    assert_eq!(
        environment("015characters!!").unwrap_err().to_string(),
        "the environment variable YUNQIAO_OPERATOR_SECRET has fewer than 16 characters — export \
         YUNQIAO_OPERATOR_SECRET=$(openssl rand -hex 32)"
    );
}

/// Then the doors that hand out tokens stay shut.
#[test]
fn a_byte_order_mark_is_part_of_no_secret_wherever_it_stands() {
    const MARK: char = '\u{feff}';
    let (key, ring) = ("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "a".repeat(43));
    let console = "mode = \"secure\"\nformat = \"json\"";
    for toml in [
        format!(
            "{MARK}secret_file = \"s\"\n[operator]\nsecret_file = \"s\"\n[keys]\nfile = \"s\"\n\
             [push]\n{console}\ntoken_file = \"t\"\naes_keys_file = \"k\""
        ),
        format!(
            "secret_file = \"s\"\n[operator]\nsecret = \"{MARK}0123456789abcdef\"\n[keys]\nring = [\"{MARK}0123456789abcdef\"]\n\
             [push]\n{console}\ntoken = \"{MARK}abc\"\naes_keys = [\"{MARK}{key}\"]"
        ),
    ] {
        let dir = lay(&[
            ("yunqiao.toml", &toml),
            ("s", &format!("{MARK}0123456789abcdef\r\n")),
            ("t", &format!("{MARK}abc\n")),
            ("k", &format!("{MARK}{key}\n")),
        ]);
        let settings = open_with(dir.path(), None).unwrap().settings;
        let secrets = [
            settings.secret,
            settings.operator.secret,
            settings.keys.first().cloned(),
        ];
        for secret in secrets {
            assert_eq!(secret.unwrap().expose_secret(), "0123456789abcdef");
        }
        let console = settings.push.console.unwrap();
        assert_eq!(console.keys.len(), 1);
        assert!(
            console
                .token
                .verify("1", "2", &PushToken::parse("abc").unwrap().sign("1", "2"))
        );
    }
    let environment = Environment::read(|_| Some(format!("{MARK}{ring}\n"))).unwrap();
    for secret in [environment.secret, environment.operator_secret] {
        assert_eq!(secret.unwrap().expose_secret(), ring);
    }

    // What Windows calls Unicode is another thing, and told.
    let dir = lay(&[("yunqiao.toml", "secret_file = \"s\"")]);
    fs::write(dir.path().join("s"), b"\xff\xfea\0b\0").unwrap();
    let error = open_with(dir.path(), None).unwrap_err().to_string();
    assert!(
        error.contains("not UTF-8") && error.contains("save the file as UTF-8"),
        "{error}"
    );
}

#[test]
fn an_operator_without_a_secret_is_allowed() {
    let (_dir, project) = open(&[CONFIG, LOGIN, ("yunqiao.toml", "operator.listen = \"[::1]:0\"")]);
    let operator = project.settings.operator;
    assert_eq!(operator.listen, Some("[::1]:0".parse().unwrap()));
    assert!(operator.secret.is_none());
    assert_eq!(project.findings, []);
    assert_eq!(project.settings.permissions_cache, Duration::ZERO);
}

#[test]
fn an_operator_s_secret_has_its_least_length() {
    for (length, accepted) in [
        (OPERATOR_SECRET_LENGTH - 1, false),
        (OPERATOR_SECRET_LENGTH, true),
    ] {
        let toml = format!("[operator]\nsecret = \"{}\"", "s".repeat(length));
        let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", &toml)]);
        assert_eq!(open_with(dir.path(), None).is_ok(), accepted, "{length}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_found() {
    let dir = lay(&[
        CONFIG,
        LOGIN,
        ("k", "bmV3\n\n  b2xk\n"),
        ("yunqiao.toml", "keys.file = \"k\""),
    ]);
    fs::set_permissions(dir.path().join("k"), fs::Permissions::from_mode(0o640)).unwrap();
    let project = open_with(dir.path(), None).unwrap();
    assert!(
        project.findings[0].mend.en.starts_with("chmod 600"),
        "{:?}",
        project.findings
    );
    assert_eq!(
        project
            .settings
            .keys
            .iter()
            .map(|key| key.expose_secret())
            .collect::<Vec<_>>(),
        ["bmV3", "b2xk"]
    );
}

#[test]
fn a_yunqiao_toml_that_holds_secrets_counts_as_one() {
    let keys = "keys.ring = [\"bmV3\"]";
    let operator = "operator.secret = \"0perat0r-5ecret!\"";
    for toml in [keys, operator, &format!("{keys}\n{operator}")] {
        let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", toml)]);
        for (mode, expected) in [(0o600, 0), (0o644, 1)] {
            fs::set_permissions(dir.path().join("yunqiao.toml"), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                open_with(dir.path(), None).unwrap().findings.len(),
                expected,
                "{toml}"
            );
        }
    }
}

#[test]
fn every_file_with_a_secret_is_looked_at() {
    let files = ["app.secret", "operator.secret", "other.secret"];
    let toml = "secret_file = \"app.secret\"\noperator.secret_file = \"operator.secret\"\n\
                apps.wxfedcba9876543210.secret_file = \"other.secret\"";
    let text = "0123456789abcdef";
    let dir = lay(&[
        CONFIG,
        LOGIN,
        (files[0], text),
        (files[1], text),
        (files[2], text),
        ("yunqiao.toml", toml),
    ]);
    assert_eq!(open_with(dir.path(), None).unwrap().findings, []);
    for file in files {
        let path = dir.path().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let findings = open_with(dir.path(), None).unwrap().findings;
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].file, path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Each refusal in full: they are what a newcomer reads.
#[test]
fn refusals_name_line_cause_and_mend() {
    for (toml, expected) in [
        (
            "\nwecaht = \"x\"",
            "yunqiao.toml:2: unknown key `wecaht` — did you mean `wechat`?",
        ),
        (
            "[login]\nlife = 1",
            "yunqiao.toml:2: unknown key `life` in [login] — known are ttl",
        ),
        (
            "[functions.login]\ntimout = 1",
            "yunqiao.toml:2: unknown key `timout` in [functions.login] — did you mean `timeout`?",
        ),
        (
            "[push]\ntoken = \"x\"",
            "yunqiao.toml:2: `push.token` is no Token — a Token is 3 to 32 letters and digits, and this is 1 characters: copy it from \
             the console's push settings (消息推送配置)",
        ),
        (
            "[push]\ntoken = \"abc\"",
            "yunqiao.toml:1: `push` has a token and no mode — write the console's: mode = \"secure\" (安全模式), \"compatible\" (兼容模式) \
             or \"plain\" (明文模式)",
        ),
        (
            "[push]\ntoken = \"abc\"\nmode = \"safe\"",
            "yunqiao.toml:3: `push.mode` is no push mode — write the console's: \"secure\" (安全模式), \"compatible\" (兼容模式) \
             or \"plain\" (明文模式)",
        ),
        (
            "[push]\ntoken = \"abc\"\nmode = \"plain\"",
            "yunqiao.toml:1: `push` has a token and no format — write the console's: format = \"json\" or \"xml\"",
        ),
        (
            "[push]\ntoken = \"abc\"\nmode = \"secure\"\nformat = \"json\"",
            "yunqiao.toml:1: `push` has no key — push mode \"secure\" needs the EncodingAESKey of the console's push settings: give it as \
             aes_keys = [\"…\"], or name a file with aes_keys_file",
        ),
        (
            "[push]\naes_keys = [\"abc\"]",
            "yunqiao.toml:2: `push.aes_keys` is no EncodingAESKey — an EncodingAESKey is 43 letters and digits, and this is 3 characters: \
             copy it from the console's push settings (消息推送配置)",
        ),
        (
            "[push]\nmode = \"plain\"",
            "yunqiao.toml:2: `push.mode` stands there without a token — give the console's Token as token or token_file; or leave all but \
             the routes out, for the simulator's",
        ),
        (
            "[push]\ntoken = \"abc\"\ntoken_file = \"t\"",
            "yunqiao.toml:3: `push.token_file` stands beside push.token — give one of the two",
        ),
        (
            "[push.routes]\nevent = \"login\"",
            "yunqiao.toml:2: a route for events names one, as in `event/user_enter_tempsession`; `*` takes whatever no other route takes — \
             write a message type such as `text`, an event such as `event/user_enter_tempsession`, or `*` for the rest",
        ),
        (
            "[push.routes]\ntext = \"no/name\"",
            "yunqiao.toml:2: `push.routes.text` names no function — \"no/name\" is no function name: use at most 60 letters, digits, `-` \
             and `_`, beginning with a letter",
        ),
        (
            "listen = \"8787\"",
            "yunqiao.toml:1: `listen` is no address — write an address and a port, such as \"127.0.0.1:8787\"",
        ),
        (
            "[database.collections.a]\nindexes = [\"status\"]",
            "yunqiao.toml:2: `database.collections.a.indexes` is a field, and stands where a list of fields should — write a list for \
             each index: indexes = [[\"status\"], [\"createTime\"]]",
        ),
        (
            "[database.collections.a]\nseed = \"a.json\"",
            "yunqiao.toml:2: `database.collections.a.seed` is not said of one collection — put the documents into FOLDER/NAME.json, and \
             write seed = \"FOLDER\" below [database]: each file fills the collection of its name",
        ),
        (
            "appid = 1",
            "yunqiao.toml:1: `appid` is of kind integer — put the value in double quotes",
        ),
        (
            "appid = \" \"",
            "yunqiao.toml:1: `appid` is empty — give it a value, or remove the line",
        ),
        (
            "[functions.login]\ntimeout = 301",
            "yunqiao.toml:2: `functions.login.timeout` is 301 seconds — 1 to 300 seconds are possible",
        ),
        (
            "[functions.login]\ntimeout = 0",
            "yunqiao.toml:2: `functions.login.timeout` is no length of time — write a time such as \"2h\", \"10m\" or \"5s\", or whole seconds",
        ),
        (
            "[functions.login]\nmemory = 64",
            "yunqiao.toml:2: `functions.login.memory` is 64 — write a whole number from 128 to 3072 (MB)",
        ),
        (
            "[functions.login]\nconcurrency = \"8\"",
            "yunqiao.toml:2: `functions.login.concurrency` is of kind string — write a whole number from 1 to 1000",
        ),
        (
            "[functions.login.env]\n\"A-B\" = \"x\"",
            "yunqiao.toml:2: illegal variable name \"A-B\" — use letters, digits and `_`, beginning with a letter or `_`",
        ),
        (
            "[functions.logn]",
            "yunqiao.toml:1: [functions.logn] configures a function that is not there — did you mean `login`?",
        ),
        (
            "[sim.users.carol]\nnickName = \"C\"",
            "yunqiao.toml:2: unknown key `nickName` in [sim.users.carol] — did you mean `nick_name`?",
        ),
        (
            "[sim.users.carol]\nphone = 13800138000",
            "yunqiao.toml:2: `sim.users.carol.phone` is of kind integer — put the value in double quotes",
        ),
        (
            "[sim.users.carol]\ngender = 3",
            "yunqiao.toml:2: `sim.users.carol.gender` is 3 — write a whole number from 0 to 2",
        ),
        (
            "[sim.templates.paid]\ntype = 1",
            "yunqiao.toml:2: `sim.templates.paid.type` is 1 — write a whole number from 2 to 3",
        ),
        (
            "[sim.templates.paid]\ncontent = \"{{thing1.DATA}}\"\nfields = [\"thing1\"]",
            "yunqiao.toml:3: `sim.templates.paid.fields` stands beside sim.templates.paid.content — give one of the two",
        ),
        (
            "[sim.templates.paid]\nfields = [\"thing1.DATA\"]",
            "yunqiao.toml:2: `sim.templates.paid.fields` has the field \"thing1.DATA\" — write names such as \"thing1\" or \"date2\", as \
             {{thing1.DATA}} has them",
        ),
        (
            "[sim.subscriptions]\nalice = { paid = -1 }",
            "yunqiao.toml:2: `sim.subscriptions.alice.paid` is -1 — write a whole number from 0 to 4000000000",
        ),
        (
            "[sim]\nstrict = \"on\"",
            "yunqiao.toml:2: `sim.strict` is of kind string — write true or false, without quotes",
        ),
        (
            "[sim]\nlib_version = \"3\"",
            "yunqiao.toml:2: `sim.lib_version` is no base library version — write three numbers, such as \"2.27.0\"",
        ),
        (
            "[cors]\norigins = [\"https://a.example/\"]",
            "yunqiao.toml:2: `cors.origins` has \"https://a.example/\", which no browser sends as an origin — browsers send scheme, host and port only; write \"https://app.example.com\", without a path or a slash at the end",
        ),
        (
            "wechat = \"api.weixin.qq.com\"",
            "yunqiao.toml:1: `wechat` is no web address — write it with http:// or https://, such as \"https://api.weixin.qq.com\"",
        ),
        (
            "login = 1",
            "yunqiao.toml:1: `login` is of kind integer — write a table: [login]",
        ),
        (
            "keys.file = \"k\"\nkeys.ring = [\"a\"]",
            "yunqiao.toml:1: `keys.file` stands beside keys.ring — give one of the two",
        ),
        (
            "[permissions]\ncache = \"ten minutes\"",
            "yunqiao.toml:2: `permissions.cache` is no length of time — write a time such as \"2h\", \"10m\" or \"5s\", or whole seconds",
        ),
        (
            "[permissions]\nopenapi = []",
            "yunqiao.toml:2: unknown key `openapi` in [permissions] — known are cache",
        ),
        (
            "[operator]\nlisten = 8789",
            "yunqiao.toml:2: `operator.listen` is of kind integer — put the value in double quotes",
        ),
        (
            "[operator]\nlisten = \"operator:8789\"",
            "yunqiao.toml:2: `operator.listen` is no address — write an address and a port, such as \"127.0.0.1:8789\"",
        ),
        (
            "[operator]\nsecrets = \"x\"",
            "yunqiao.toml:2: unknown key `secrets` in [operator] — did you mean `secret`?",
        ),
        (
            "[operator]\nsecret = \"hunter2\"",
            "yunqiao.toml:2: `operator.secret` has fewer than 16 characters — make one with `openssl rand -hex 32`, or keep it in a file and name that as secret_file",
        ),
        (
            "[operator]\nsecret = \"correct horse battery staple\"",
            "yunqiao.toml:2: `operator.secret` has characters that an Authorization header cannot carry — make one with `openssl rand -hex 32`, or keep it in a file and name that as secret_file",
        ),
        (
            "[operator]\nsecret = \"0perat0r-5ecret!\"\nsecret_file = \"operator.secret\"",
            "yunqiao.toml:3: `operator.secret_file` stands beside operator.secret — give one of the two",
        ),
        (
            "[operator]\nsecret_file = \"cloudfunctions/login/index.js\"",
            "yunqiao.toml:2: `operator.secret_file` names a file whose text has characters that an Authorization header cannot carry — make one with `openssl rand -hex 32 > cloudfunctions/login/index.js`",
        ),
        (
            "[operator]\nsecret_file = \"gone.secret\"",
            "yunqiao.toml:2: `operator.secret_file` names gone.secret, which cannot be read: No such file or directory (os error 2) — name a file that can be",
        ),
        (
            "\n[apps.wx0123456789abcdef]\nsecret_file = \"project.config.json\"",
            "yunqiao.toml:2: [apps.wx0123456789abcdef] is the project's own app — remove the table, and give its AppSecret as secret_file at the top of the file",
        ),
        (
            "[apps.\"my app\"]\nsecret_file = \"s\"",
            "yunqiao.toml:1: \"my app\" is no appid — name another app of the same owner, such as [apps.wx0123456789abcdef]",
        ),
        (
            "[apps.wxfedcba9876543210]",
            "yunqiao.toml:1: `apps.wxfedcba9876543210` has no secret_file — name a file that holds its AppSecret, such as secret_file = \"other.secret\"",
        ),
        (
            "[apps.wxfedcba9876543210]\nsecret = \"s\"",
            "yunqiao.toml:2: unknown key `secret` in [apps.wxfedcba9876543210] — did you mean `secret_file`?",
        ),
        (
            "apps = [\"wxfedcba9876543210\"]",
            "yunqiao.toml:1: `apps` is of kind array — write a table: [apps]",
        ),
        (
            "[sim]\nwithdrawn = true",
            "yunqiao.toml:2: `sim.withdrawn` is of kind boolean — put the value in double quotes",
        ),
        (
            "[timers]\nzone = \"Peking\"",
            "yunqiao.toml:2: `timers.zone` is no time zone — write a name such as \"Asia/Shanghai\", \"Europe/Berlin\" or \"UTC\"",
        ),
        (
            "[timers]\nmissed = \"once\"",
            "yunqiao.toml:2: `timers.missed` is neither of its two values — write \"skip\" or \"run-once\"",
        ),
        (
            "[sim]\nwithdrawn = \"first-user\"",
            "yunqiao.toml:2: `sim.withdrawn` is neither of its two values — write \"accept\" or \"refuse\"",
        ),
    ] {
        assert_eq!(toml_refusal(toml), expected);
    }
    assert!(toml_refusal("a = \n").starts_with("yunqiao.toml:1: "));
    assert!(toml_refusal("appid = \"a\"\nappid = \"b\"").starts_with("yunqiao.toml:2: "));
    assert_eq!(
        refusal(&[("project.config.json", "{\n  \"appid\": \"wx1\",\n}")]),
        "project.config.json:3:1: trailing comma — remove the comma before the closing bracket"
    );
}

/// What a refusal quotes as the thing to write is taken in the place of what was refused.
#[test]
fn what_a_refusal_proposes_is_taken() {
    let quoted = |mend: &str, mark: char| -> Vec<String> {
        mend.split(mark).skip(1).step_by(2).map(str::to_owned).collect()
    };
    // A setting with a place for what is wrong, and what is wrong there.
    for (template, wrong) in [
        ("{} = \"https://wx.example.com\"", "wecaht"),
        ("[functions.login]\n{} = 5", "timout"),
        ("[functions.login]\n{} = 512", "memorySize"),
        ("[functions.login]\n{} = 2", "maxInstances"),
        ("[functions.{}]", "logn"),
        ("[login]\n{} = \"2h\"", "ttll"),
        ("[sim]\n{} = true", "cloud_open"),
        ("[push.routes]\ntext = \"{}\"", "logn"),
        ("listen = \"{}\"", "8787"),
        ("wechat = \"{}\"", "api.weixin.qq.com"),
        ("cors.origins = [\"{}\"]", "https://a.example/"),
        ("login.ttl = \"{}\"", "two hours"),
        ("permissions.cache = \"{}\"", "ten minutes"),
        ("sim.lib_version = \"{}\"", "3"),
        ("sim.foreign_codes = \"{}\"", "first_user"),
        ("sim.withdrawn = \"{}\"", "yes"),
        ("timers.zone = \"{}\"", "Peking"),
        ("timers.missed = \"{}\"", "once"),
        ("database.missing = \"{}\"", "make"),
        ("[functions]\nundeclared = \"{}\"", "install"),
        ("operator.listen = \"{}\"", "8789"),
        (
            "push.token = \"abc\"\npush.format = \"json\"\npush.mode = \"{}\"",
            "safe",
        ),
        (
            "push.token = \"abc\"\npush.mode = \"plain\"\npush.format = \"{}\"",
            "yaml",
        ),
    ] {
        let open_template = |text: &str| {
            let dir = lay(&[
                ("yunqiao.toml", &template.replace("{}", text)),
                ("cloudfunctions/login/index.js", ""),
            ]);
            let path = dir.path().join("yunqiao.toml");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            open_with(dir.path(), None)
        };
        let mend = match open_template(wrong) {
            Err(ProjectError::Setting { mend, .. }) => mend.en,
            Err(other) => panic!("{wrong}: {other}"),
            // A route to no function is only told.
            Ok(project) => project
                .findings
                .iter()
                .map(|finding| finding.mend.en.as_str())
                .collect(),
        };
        let mut proposed = quoted(&mend, '`');
        proposed.extend(quoted(&mend, '"'));
        assert!(!proposed.is_empty(), "{wrong}: {mend}");
        for proposed in proposed {
            match open_template(&proposed) {
                Ok(project) => assert_eq!(project.findings, [], "{proposed}"),
                // The mode was taken, and asks for what it needs.
                Err(error) => assert!(
                    error.to_string().contains("`push` has no key"),
                    "{wrong}: {error}"
                ),
            }
        }
    }
}

/// What is said to be done about a file of JSON is done, word for word, and then there is nothing to say.
#[test]
fn what_is_proposed_for_a_json_file_helps() {
    let config = |text: &str| {
        let (_dir, project) = open(&[CONFIG, LOGIN, ("cloudfunctions/login/config.json", text)]);
        let faults = &project.functions["login"].permission_faults;
        (
            faults.first().map(|fault| fault.mend.en.clone()),
            project.findings,
        )
    };
    for (wrong, mend, right) in [
        ("", "write at least `{}`", "{}"),
        (
            "{\"a\": 1,}",
            "remove the comma before the closing bracket",
            "{\"a\": 1}",
        ),
        ("// mine\n{}", "JSON knows no comments; remove them", "{}"),
        ("{a: 1}", "put the key in double quotes", "{\"a\": 1}"),
        ("{\"a\": 'b'}", "JSON knows only double quotes", "{\"a\": \"b\"}"),
        ("{\"a\": [1", "a bracket or a quote is not closed", "{\"a\": [1]}"),
        ("[1]", "it must begin with `{` and end with `}`", "{}"),
    ] {
        let (told, _) = config(wrong);
        let told = told.unwrap_or_default();
        assert!(told.contains(mend), "{wrong}: {told}");
        let (told, findings) = config(right);
        assert!(
            told.is_none() && findings.is_empty(),
            "{right}: {told:?} {findings:?}"
        );
    }
}

/// Where a setting is said to belong, it counts.
#[test]
fn where_a_setting_is_said_to_belong_it_counts() {
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("cloudfunctions/login/config.json", r#"{"timeout": 20}"#),
    ]);
    let mend = &project.findings[0].mend.en;
    assert!(
        mend.contains("as `timeout` below [functions.NAME] in yunqiao.toml, or in cloudbaserc.json"),
        "{mend}"
    );
    for place in [
        ("yunqiao.toml", "[functions.login]\ntimeout = 20"),
        (
            "cloudbaserc.json",
            r#"{"functions":[{"name":"login","timeout":20}]}"#,
        ),
    ] {
        let (_dir, project) = open(&[CONFIG, LOGIN, place]);
        assert_eq!(
            project.functions["login"].function.timeout,
            Duration::from_secs(20)
        );
        assert_eq!(project.findings, []);
    }

    // A range includes both of the ends that its message names.
    let with = |name: &str, value: &str| {
        let text = format!(r#"{{"functions":[{{"name":"login","{name}":{value}}}]}}"#);
        let (_dir, project) = open(&[CONFIG, LOGIN, ("cloudbaserc.json", &text)]);
        project.functions["login"].function.problem.clone()
    };
    for name in ["timeout", "memorySize"] {
        let refusal = with(name, "100000").unwrap();
        let range = refusal.en.split_once(", but ").unwrap().1;
        let ends: Vec<&str> = range
            .split(' ')
            .filter(|word| word.parse::<u64>().is_ok())
            .collect();
        assert_eq!(ends.len(), 2, "{refusal}");
        for end in ends {
            assert_eq!(with(name, end), None);
        }
    }

    // A variable that only CloudBase's own tool can fill in.
    let template = r#"{"functions":[{"name":"login","envVariables":{"KEY":"{{env.KEY}}"}}]}"#;
    let (_dir, project) = open(&[CONFIG, LOGIN, ("cloudbaserc.json", template)]);
    let mend = &project.findings[0].mend.en;
    assert!(
        mend.contains("under [functions.NAME.env] as KEY = \"…\""),
        "{mend}"
    );
    let own = "[functions.login.env]\nKEY = \"mine\"";
    let (_dir, project) = open(&[CONFIG, LOGIN, ("yunqiao.toml", own)]);
    assert_eq!(project.functions["login"].function.env["KEY"], "mine");
}

#[test]
fn permissions_are_each_function_s_own_and_a_typo_stops_nothing() {
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        (
            "cloudfunctions/login/config.json",
            "{\n  \"permissions\": {\n    \"openapi\": [\"wxacode.get\", \"phonenumber.getPhoneNumberk\"]\n  }\n}\n",
        ),
        ("cloudfunctions/other/index.js", ""),
    ]);
    let login = &project.functions["login"];
    let names: Vec<_> = login.permissions.iter().map(String::as_str).collect();
    assert_eq!(names, ["phonenumber.getPhoneNumberk", "wxacode.get"]);
    assert_eq!(login.function.problem, None);
    assert!(project.functions["other"].permissions.is_empty());
    for (name, is_there) in [("login", true), ("other", false)] {
        let config_json = project.functions[name].config_json();
        let expected = format!("cloudfunctions/{name}/config.json");
        assert_eq!(
            (config_json.ends_with(expected), config_json.is_file()),
            (true, is_there)
        );
    }
    let [finding] = project.findings.as_slice() else {
        panic!("{:?}", project.findings)
    };
    let text = finding.to_string();
    for part in [
        "config.json: line 3: ",
        "does not exist: it permits nothing",
        "did you mean `phonenumber.getPhoneNumber`?",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn push_settings_are_those_of_the_console() {
    let keys = ["a".repeat(43), "b".repeat(43)];
    for (toml, private) in [
        (
            format!(
                "[push]\ntoken = \"abc\"\naes_keys = [\"{}\", \"{}\"]\nmode = \"compatible\"\nformat = \"xml\"\n[push.routes]\n\
                 text = \"login\"\nuser_enter_tempsession = \"login\"\n\"*\" = \"login\"",
                keys[0], keys[1]
            ),
            false,
        ),
        (
            "[push]\ntoken_file = \"token.secret\"\naes_keys_file = \"keys.secret\"\nmode = \"compatible\"\nformat = \"xml\"\n\
             routes = { text = \"login\", \"event/user_enter_tempsession\" = \"login\", \"*\" = \"login\" }"
                .to_owned(),
            true,
        ),
    ] {
        let (_dir, project) = open(&[
            CONFIG,
            LOGIN,
            ("yunqiao.toml", &toml),
            ("token.secret", " abc\n"),
            ("keys.secret", &format!("{}\n\n{}\n", keys[0], keys[1])),
        ]);
        let push = &project.settings.push;
        let console = push.console.as_ref().unwrap().settings("wx1");
        assert_eq!((console.appid.as_str(), console.token.expose()), ("wx1", "abc"));
        assert_eq!(console.keys.iter().map(|key| key.expose()).collect::<Vec<_>>(), keys);
        assert_eq!((console.mode, console.format), (push::Mode::Compatible, push::Format::Xml));
        let mut routes: Vec<_> = push.routes.iter().map(|(of, to)| format!("{of} {to}")).collect();
        routes.sort();
        assert_eq!(routes, ["* login", "event/user_enter_tempsession login", "text login"]);
        // A file with secrets in it is its owner's alone.
        assert_eq!(project.findings.len(), usize::from(!private), "{:?}", project.findings);
        assert!(!format!("{:?}", project.settings).contains(&keys[0]));
    }
}

#[test]
fn routes_that_lead_nowhere_are_told_with_what_is_near() {
    let toml = "[push.routes]\ntext = \"logn\"\nvoice = \"zzz\"\n\"event/user_enter_tempsesion\" = \"login\"\n\"event/qqq\" = \"login\"";
    let (_dir, project) = open(&[CONFIG, LOGIN, ("yunqiao.toml", toml)]);
    assert!(project.settings.push.console.is_none());
    let told: Vec<_> = project
        .findings
        .iter()
        .map(|finding| (finding.what.en.as_str(), finding.mend.en.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "[push.routes] has `event/user_enter_tempsesion`, and no kind of that name is known",
                "did you mean `user_enter_tempsession`? (one that WeChat added lately works all the same)",
            ),
            (
                "[push.routes] sends `text` to \"logn\", and there is no such function",
                "did you mean `login`?",
            ),
            (
                "[push.routes] sends `voice` to \"zzz\", and there is no such function",
                "name an existing function, or remove the route",
            ),
        ]
    );
}

#[test]
fn a_uni_app_is_a_project() {
    let folder = tempfile::tempdir().unwrap();
    let place = |path: &str| folder.path().join(path);
    fs::create_dir_all(place("src/static/cloud/a")).unwrap();
    fs::write(place("src/static/cloud/a/index.js"), "").unwrap();
    fs::write(place("manifest.json"), r#"{"name":"the web page's","icons":[]}"#).unwrap();
    let manifest = |root: &str| {
        let text = format!(
            r#"{{ /* 小程序特有相关 */ "mp-weixin": {{ "appid": "wx0123456789abcdef", "cloudfunctionRoot": "{root}" }} }}"#
        );
        fs::write(place("src/manifest.json"), text).unwrap();
    };
    manifest("static/cloud/");
    let error = Project::open(folder.path()).unwrap_err().to_string();
    let named = place("src");
    assert!(
        error.ends_with(&format!("give {}, which is one", named.display())),
        "{error}"
    );
    let project = Project::open(&named).unwrap();
    assert_eq!(project.appid.as_deref(), Some("wx0123456789abcdef"));
    assert!(project.functions.contains_key("a"));
    manifest("static/clouds/");
    let project = Project::open(&named).unwrap();
    let told = project.findings[0].to_string();
    assert!(
        told.contains("`mp-weixin.cloudfunctionRoot` names static/clouds/, which is not there"),
        "{told}"
    );
    // What DevTools keeps goes first.
    fs::write(
        place("src/project.config.json"),
        r#"{"appid":"wxfedcba9876543210","cloudfunctionRoot":"static/cloud"}"#,
    )
    .unwrap();
    assert_eq!(
        Project::open(&named).unwrap().appid.as_deref(),
        Some("wxfedcba9876543210")
    );
}

#[test]
fn a_folder_of_functions_that_is_not_where_it_is_said_to_be_is_looked_for() {
    const FUNCTION: &str = "const cloud = require('wx-server-sdk'); exports.main = async () => {}";
    let named = r#"{"appid":"wx0123456789abcdef","cloudfunctionRoot":"cloudfunctions/"}"#;
    let silent = r#"{"appid":"wx0123456789abcdef"}"#;
    let none = "`cloudfunctionRoot` names cloudfunctions/, which is not there: the project has no functions";
    for (config, file, found, told) in [
        // Git keeps no empty folder, and a program may have no functions at all.
        (named, "miniprogram/app.json", None, none),
        // What only has such a name.
        (named, "functions/format/index.js", None, none),
        (
            named,
            "cloudFunctions/a/index.js",
            Some("cloudFunctions/"),
            "`cloudfunctionRoot` names cloudfunctions/, which is not there: cloudFunctions/ is taken, which holds functions",
        ),
        (
            named,
            "cloud/functions/a/index.ts",
            Some("cloud/functions/"),
            "`cloudfunctionRoot` names cloudfunctions/, which is not there: cloud/functions/ is taken, which holds functions",
        ),
        (
            silent,
            "cloud-function/a/index.js",
            Some("cloud-function/"),
            "no file names the folder of cloud functions: cloud-function/ is taken, which holds some",
        ),
        (
            silent,
            "cloud/pages/index.js",
            None,
            "there is no folder of cloud functions",
        ),
    ] {
        let source = if found.is_some() {
            FUNCTION
        } else {
            "module.exports = {}"
        };
        let (dir, project) = open(&[("project.config.json", config), (file, source)]);
        let expected = found.map(|found| files::tidy(&dir.path().join(found)));
        assert_eq!(project.functions_root, expected, "{file}");
        assert_eq!(project.findings[0].what.en, told);
        assert_eq!(project.functions.contains_key("a"), found.is_some(), "{file}");
    }
}

#[test]
fn a_mini_program_whose_own_file_was_left_out_is_a_project() {
    const FUNCTION: &str = "exports.main = () => 1";
    let (dir, project) = open(&[
        ("miniprogram/app.json", r#"{"pages":["pages/index/index"]}"#),
        ("cloudfunctions/a/index.js", FUNCTION),
    ]);
    assert!(project.functions.contains_key("a"));
    assert_eq!(project.miniprogram_root, dir.path().join("miniprogram"));
    assert_eq!(project.appid, None);
    assert_eq!(
        project.findings[0].what.en,
        "there is no project.config.json: the appid is made up"
    );
    // The pages beside the functions, below the folder that was given.
    let dir = lay(&[
        ("server/app.json", r#"{"name":"another kind of app"}"#),
        ("wx/app.json", r#"{"pages":[]}"#),
        ("wx/cloudfunctions/a/index.js", FUNCTION),
    ]);
    let error = open_with(dir.path(), None).unwrap_err().to_string();
    let wx = dir.path().join("wx");
    assert!(
        error.ends_with(&format!("give {}, which is one", wx.display())),
        "{error}"
    );
    assert!(open_with(&wx, None).unwrap().functions.contains_key("a"));
    // A part of a project is none by itself: its own file counts, which lies above.
    fs::write(dir.path().join("project.config.json"), "{}").unwrap();
    open_with(&wx, None).unwrap_err();
    // CloudBase's own kind of project has one file too.
    let rc = r#"{"envId":"e-1","functionRoot":"fn","functions":[{"name":"a"}]}"#;
    let (_dir, project) = open(&[("cloudbaserc.json", rc), ("fn/a/index.js", "")]);
    assert_eq!((project.env_id.as_str(), project.functions.len()), ("e-1", 1));
}

#[test]
fn a_project_below_the_folder_that_was_given_is_named_and_taken() {
    let folder = tempfile::tempdir().unwrap();
    let place = |path: &str| folder.path().join(path);
    for path in ["docs", "src/client", "server/fn/a"] {
        fs::create_dir_all(place(path)).unwrap();
    }
    let config = r#"{"appid":"wx0123456789abcdef","cloudfunctionRoot":"./../../server/fn/"}"#;
    fs::write(place("src/client/project.config.json"), config).unwrap();
    fs::write(place("server/fn/a/index.js"), "").unwrap();
    let error = Project::open(folder.path()).unwrap_err().to_string();
    let named = place("src/client");
    assert!(
        error.ends_with(&format!("give {}, which is one", named.display())),
        "{error}"
    );
    let project = Project::open(&named).unwrap();
    assert_eq!(
        project.functions.get("a").unwrap().function.dir,
        place("server/fn/a")
    );
}

/// The routes of a project, as `path → function` with what is set.
fn routes(project: &Project) -> Vec<String> {
    let routes = project.settings.web.functions.iter();
    routes
        .map(|route| {
            let auth = if route.auth { " auth" } else { "" };
            let passthrough = if route.passthrough { " passthrough" } else { "" };
            format!("{} → {}{auth}{passthrough}", route.path, route.function)
        })
        .collect()
}

/// A web server of a function's own is not started; what exports `main` as well is called by that.
#[test]
fn http_functions_are_told_and_not_loaded() {
    let server = "const server = require('http').createServer();\nserver.listen(9000)\n";
    let both = format!("exports.main = async () => 1\nif (require.main === module) {{\n{server}}}\n");
    let module = format!("export async function main() {{}}\n{server}");
    let rc = r#"{"functions":[{"name":"login","type":"HTTP"},{"name":"web","type":"HTTP"},{"name":"py","type":"HTTP","runtime":"Python3.9"}]}"#;
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("cloudfunctions/web/index.js", server),
        ("cloudfunctions/web/scf_bootstrap", "#!/bin/bash\nnode index.js\n"),
        ("cloudfunctions/py/main.py", ""),
        (
            "cloudfunctions/py/scf_bootstrap",
            "#!/bin/bash\npython3 main.py\n",
        ),
        ("cloudfunctions/both/index.js", &both),
        ("cloudfunctions/both/scf_bootstrap", ""),
        ("cloudfunctions/module/index.mjs", &module),
        ("cloudfunctions/module/scf_bootstrap", ""),
        ("cloudbaserc.json", rc),
    ]);
    let problem = |name: &str| {
        project.functions[name]
            .function
            .problem
            .as_ref()
            .map(|why| why.en.as_str())
    };
    for name in ["web", "py"] {
        let why = problem(name).unwrap();
        assert!(
            why.contains("HTTP function") && why.contains("serverless(app)"),
            "{name}: {why}"
        );
    }
    assert_eq!(
        (problem("both"), problem("module"), problem("login")),
        (None, None, None)
    );
    let mut told: Vec<_> = project.findings.iter().collect();
    told.sort_by_key(|finding| &finding.function);
    let told: Vec<_> = told
        .iter()
        .map(|finding| format!("{} {}", finding.function.as_ref().unwrap(), finding.what.en))
        .collect();
    let not_run = "scf_bootstrap is not run: here the function is called by its `main`";
    assert_eq!(
        told,
        [
            format!("both {not_run}"),
            "login it is an HTTP function, whose own web server on port 9000 is not started here".to_owned(),
            format!("module {not_run}"),
        ]
    );
}

/// The project runs with what there is beside it, and its author is told how to have the file read.
#[test]
fn a_cloudbaserc_that_is_a_program_is_told() {
    let program = ("cloudbaserc.js", "module.exports = { envId: 'prod-1' }");
    let (_dir, project) = open(&[program, ("functions/login/index.js", LOGIN.1)]);
    assert!(project.functions.contains_key("login"));
    let told = |project: &Project| -> Vec<String> {
        let findings = project.findings.iter();
        let of_it = findings.filter(|finding| finding.file.ends_with(program.0));
        of_it.map(ToString::to_string).collect()
    };
    let [told_alone] = &told(&project)[..] else {
        panic!("{:?}", project.findings)
    };
    assert!(
        told_alone.contains("it is a program")
            && told_alone.contains(
                r#"node -p 'JSON.stringify(require("./cloudbaserc.js"), null, 2)' > cloudbaserc.json"#
            ),
        "{told_alone}"
    );
    // What is there already is not written over.
    let (_dir, project) = open(&[CONFIG, LOGIN, program, ("cloudbaserc.json", "{}")]);
    let [told_beside] = &told(&project)[..] else {
        panic!("{:?}", project.findings)
    };
    assert!(
        told_beside.contains("it is a program")
            && told_beside.contains("into cloudbaserc.json, or into yunqiao.toml"),
        "{told_beside}"
    );
}

/// A command that looks at data alone is not kept from it by what is wrong elsewhere; what is wrong with where data is kept, is.
#[test]
fn what_is_wrong_elsewhere_is_passed_over_where_data_alone_is_wanted() {
    let elsewhere = "env = \"prod-1\"\nsecret_file = \"none\"\nfunctions = \"gone\"\nlisten = 1\n[storage]\nfolder = \"kept\"\n\
        [database]\npath = \"d.redb\"\n[web]\nsite = \"cloudfunctions\"\nspa = 1\n[sim]\nusers = 3\n[login]\nttl = \"x\"";
    let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", elsewhere)]);
    assert!(Project::open(dir.path()).is_err());
    let toml = dir.path().join("yunqiao.toml");
    for project in [
        Project::open_in(dir.path(), Scope::Data).unwrap(),
        Project::from_config_in(&toml, Scope::Data).unwrap(),
    ] {
        assert_eq!(project.settings.storage.folder, Some(dir.path().join("kept")));
        assert_eq!(project.settings.database.path, Some(dir.path().join("d.redb")));
        assert_eq!(project.env_id, "prod-1");
        let mut told: Vec<_> = project.findings.iter().map(|finding| &*finding.what.en).collect();
        told.sort_unstable();
        let told = told.join("\n");
        for part in [
            "line 2: ",
            "line 4: `listen`",
            "line 11: `web.spa`",
            "`sim.users`",
            "`login.ttl`",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
    let missing = "[functions.none]\ntimeout = 3";
    let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", missing)]);
    assert!(Project::open(dir.path()).is_err());
    let project = Project::open_in(dir.path(), Scope::Data).unwrap();
    assert_eq!(project.findings, []);
    for (toml, what) in [
        ("[storage]\nfolder = 1\n[web]\nspa = 1", ":2: `storage.folder`"),
        ("[database]\npath = \"\"", ":2: `database.path`"),
        ("stor = \"x.redb\"", "did you mean `store`?"),
        ("[databas]\npath = \"x\"", "did you mean `database`?"),
        ("[operator]\nsecret_file = \"none\"", "none"),
        ("[storage", "TOML"),
    ] {
        let dir = lay(&[CONFIG, LOGIN, ("yunqiao.toml", toml)]);
        let refusal = Project::open_in(dir.path(), Scope::Data).unwrap_err().to_string();
        assert!(refusal.contains(what), "{toml}: {refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
    for part in OTHER_PARTS {
        assert!(crate::reference::TOP.names().contains(&part), "{part}");
    }
}

/// The pages of the site, with their folders in the project.
fn pages(project: &Project) -> Vec<String> {
    let pages = project.settings.web.site.pages.iter();
    pages
        .map(|page| {
            let folder = page.folder.strip_prefix(&project.root).unwrap().display();
            let spa = if page.spa { " spa" } else { "" };
            let error = page
                .error
                .iter()
                .map(|error| format!(" {error}"))
                .collect::<String>();
            format!("{} → {folder}{spa}{error}", page.path)
        })
        .collect()
}

#[test]
fn the_web_is_read_with_its_routes_and_rules() {
    let toml = r#"
        [web]
        listen = "127.0.0.1:1"
        site = "dist"
        error = "/404.html"
        spa = true
        proxies = ["10.0.0.0/8"]
        [[web.functions]]
        path = "/api/"
        function = "login"
        auth = true
        [[web.functions]]
        path = "/"
        function = "login"
        passthrough = true
        [[web.sites]]
        path = "/admin/"
        site = "admin/dist"
        [[web.redirects]]
        from = "/old/*"
        to = "/new/*"
        status = 301
        [[web.redirects]]
        missing = true
        to = "https://example.com/"
        [[web.cache]]
        path = "*.js"
        max_age = "1d"
    "#;
    let (dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("dist/index.html", ""),
        ("admin/dist/index.html", ""),
        ("yunqiao.toml", toml),
    ]);
    assert_eq!(routes(&project), ["/api → login auth", "/ → login passthrough"]);
    let web = &project.settings.web;
    assert_eq!(pages(&project), ["/ → dist spa 404.html", "/admin → admin/dist"]);
    assert_eq!(web.site.pages[0].folder, dir.path().join("dist"));
    assert_eq!(web.site.redirects.len(), 2);
    assert_eq!(web.site.cache_control("/x.js"), "max-age=86400");
    assert!(web.proxies.trust("10.1.2.3".parse().unwrap()));
    // Of all that is in it only this is of no use.
    let told = project.findings.iter();
    let told: Vec<_> = told
        .map(|finding| finding.what.en.contains("has the path /,"))
        .collect();
    assert_eq!(told, [true], "{:?}", project.findings);
}

#[test]
fn what_is_wrong_with_the_web_is_told_with_its_mend() {
    for (toml, what) in [
        ("[web]\nsit = \"dist\"", "did you mean `site`?"),
        ("[web]\nsite = \".\"", "the project's own folder"),
        ("[web]\nsite = \"..\"", "the project's own folder"),
        ("[web]\nsite = \"cloudfunctions/login\"", "the functions' source"),
        (
            "[storage]\nrule = { read = \"doc.x == 1\" }",
            "write = \"resource.openid == auth.openid\"",
        ),
        ("[web]\nsite = \".yunqiao\"", "what `dev` keeps"),
        (
            "store = \"dist/data/yunqiao.redb\"\n[web]\nsite = \"dist\"",
            "has the store in it",
        ),
        (
            "store = \"data/yunqiao.redb\"\n[web]\nsite = \"data/files/content\"",
            "has the folder of files in it",
        ),
        (
            "[storage]\nfolder = \"dist/files\"\n[web]\nsite = \"dist\"",
            "has the folder of files in it",
        ),
        (
            "[database]\npath = \"dist/x/../d.redb\"\n[web]\nsite = \"dist\"",
            "has the database in it",
        ),
        (
            "[auth]\npasswords = \"dist/users.toml\"\n[web]\nsite = \"./dist/\"",
            "has auth.passwords in it",
        ),
        ("[web]\nspa = true", "there is no site"),
        (
            "[web]\nspa = true\n[[web.sites]]\npath = \"/a\"\nsite = \"dist\"",
            "there is no site",
        ),
        ("[[web.sites]]\nsite = \"dist\"", "without `path`"),
        ("[[web.sites]]\npath = \"/a\"", "without `site`"),
        (
            "[[web.sites]]\npath = \"/a\"\nsite = \"cloudfunctions/login\"",
            "the functions' source",
        ),
        (
            "[web]\nsite = \"dist\"\n[[web.sites]]\npath = \"/\"\nsite = \"dist\"",
            "the path / twice",
        ),
        (
            "[web]\nsite = \"dist\"\nerror = \"../x.html\"",
            "not a file of the site",
        ),
        (
            "[web]\nproxies = [\"10.0.0.0/99\"]",
            "write \"127.0.0.1\" or \"10.0.0.0/8\"",
        ),
        (
            "[[web.functions]]\npath = \"api\"\nfunction = \"login\"",
            "with a slash at the beginning",
        ),
        ("[[web.functions]]\npath = \"/api\"", "without `function`"),
        (
            "[[web.functions]]\npath = \"/a\"\nfunction = \"login\"\nport = 1",
            "unknown key `port`",
        ),
        (
            "[[web.functions]]\npath = \"/a\"\nfunction = \"login\"\n[[web.functions]]\npath = \"/a/\"\nfunction = \"login\"",
            "the path /a twice",
        ),
        (
            "[web]\nsite = \"dist\"\n[[web.redirects]]\nto = \"/x\"",
            "needs either `from` or `missing = true`",
        ),
        (
            "[web]\nsite = \"dist\"\n[[web.redirects]]\nfrom = \"/a\"\nto = \"//evil.example\"",
            "neither a path nor an address",
        ),
        (
            "[web]\nsite = \"dist\"\n[[web.redirects]]\nfrom = \"/h/*\"\nto = \"https://example.com*\"",
            "write a slash behind the host",
        ),
        (
            "[web]\nsite = \"dist\"\n[[web.redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = 303",
            "301, 302, 307 or 308",
        ),
        (
            "[web]\nsite = \"dist\"\n[[web.cache]]\npath = \"assets\"\nmax_age = \"1h\"",
            "pattern of paths",
        ),
    ] {
        let refusal = toml_refusal(toml);
        assert!(refusal.contains(what), "{toml}: {refusal}");
    }
    for key in ["secret_file", "operator.keys.shop"] {
        let toml = format!("{key} = \"dist/keys/it.secret\"\n[web]\nsite = \"dist\"");
        let refusal = refusal(&[
            CONFIG,
            LOGIN,
            ("dist/keys/it.secret", "0123456789abcdef0123456789abcdef"),
            ("yunqiao.toml", &toml),
        ]);
        assert!(refusal.contains(&format!("has {key} in it")), "{refusal}");
    }
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        (
            "yunqiao.toml",
            "[web]\nsite = \"dist\"\n[[web.functions]]\npath = \"/a\"\nfunction = \"logn\"\n[[web.functions]]\npath = \"/\"\nfunction = \"login\"\n[[web.redirects]]\nfrom = \"/*\"\nto = \"/index.html\"",
        ),
    ]);
    let told = format!("{:?}", project.findings);
    assert!(
        told.contains("the redirect from /* to /index.html leads to itself again")
            && told.contains("write spa = true in place of it"),
        "{told}"
    );
    assert!(
        told.contains("did you mean `login`?")
            && told.contains("build the page")
            && told.contains("login has the path /, so nobody ever gets to the site there"),
        "{told}"
    );
}

/// A route of `tcb deploy` that asks for a login goes before what the same file says of its path elsewhere.
#[test]
fn the_routes_of_cloudbaserc_s_gateway_are_read() {
    let rc = r#"{
        "functions": [{"name": "login", "servicePath": "/admin"}],
        "gateway": {"routes": [
            {"path": "/api", "target": "function:login", "enablePathTransmission": true},
            {"path": "/admin", "target": "function:login", "enableAuth": true, "pathRewrite": {"prefix": "/x"}},
            {"path": "/odd", "target": "function:login", "enableAuth": "yes"},
            {"path": "/open", "target": "function:login", "enableAuth": false, "enable": true},
            {"path": "/", "target": "hosting:dist"},
            {"path": "no", "target": "function:login"}
        ]}
    }"#;
    let (_dir, project) = open(&[CONFIG, LOGIN, ("cloudbaserc.json", rc)]);
    assert_eq!(
        routes(&project),
        [
            "/api → login passthrough",
            "/admin → login auth",
            "/odd → login auth",
            "/open → login",
        ]
    );
    let told: Vec<_> = project.findings.iter().map(|finding| &*finding.what.en).collect();
    for what in [
        "`pathRewrite` of the route \"/admin\"",
        "the route \"/\" of `gateway` leads to \"hosting:dist\"",
        "\"no\" is no path of a route",
    ] {
        assert!(told.iter().any(|told| told.contains(what)), "{what}: {told:?}");
    }
    assert_eq!(told.len(), 3, "{told:?}");
}

/// As tools write it that know the package and not the `use`.
#[test]
fn a_plugin_without_use_is_the_package_of_its_name() {
    let rc = r#"{"framework": {"plugins": {
        "@cloudbase/framework-plugin-function": {"inputs": {"functions": [{"name": "login", "timeout": 7, "servicePath": "/in"}]}},
        "@cloudbase/framework-plugin-database": {"inputs": {"collections": [{"collectionName": "expenses", "aclTag": "READONLY"}]}},
        "@cloudbase/framework-plugin-website": {"use": "", "inputs": {"outputPath": "dist"}}
    }}}"#;
    let (_dir, project) = open(&[CONFIG, LOGIN, ("dist/index.html", ""), ("cloudbaserc.json", rc)]);
    assert_eq!(project.findings, []);
    assert_eq!(
        project.functions["login"].function.timeout,
        Duration::from_secs(7)
    );
    assert_eq!(routes(&project), ["/in → login"]);
    assert_eq!(permissions(&project), ["expenses READONLY cloudbaserc.json"]);
    assert_eq!(pages(&project), ["/ → dist"]);
}

#[test]
fn a_permission_with_the_sdks_prefix_is_the_permission() {
    let config =
        r#"{"permissions":{"openapi":["openapi.wxacode.get", "cloud.openapi.wxacode.getUnlimited"]}}"#;
    let (_dir, project) = open(&[CONFIG, LOGIN, ("cloudfunctions/login/config.json", config)]);
    let permitted: Vec<_> = project.functions["login"].permissions.iter().collect();
    assert_eq!(permitted, ["cloud.openapi.wxacode.getUnlimited", "wxacode.get"]);
}

#[test]
fn cloudbaserc_s_paths_and_site_are_read() {
    let rc = r#"{
        "functions": [{"name": "login", "servicePath": "/one", "triggers": [{"type": "http", "path": "/two"}, {"type": "http", "config": "/three"}]}],
        "framework": {"plugins": {
            "f": {"use": "@cloudbase/framework-plugin-function", "inputs": {"servicePaths": {"login": "/four"}, "functions": [{"name": "login", "servicePath": "/five"}]}},
            "w": {"use": "@cloudbase/framework-plugin-website", "inputs": {"outputPath": "dist", "cloudPath": "/admin"}},
            "x": {"use": "@cloudbase/framework-plugin-website", "inputs": {"outputPath": "dist", "cloudPath": "h5/"}},
            "y": {"use": "@cloudbase/framework-plugin-website", "inputs": {"outputPath": "dist", "cloudPath": "/a b"}},
            "z": {"use": "@cloudbase/framework-plugin-website", "inputs": {"outputPath": "dist", "cloudPath": "/set"}},
            "n": {"use": "@cloudbase/framework-plugin-node", "inputs": {"path": "/n"}},
            "u": {"inputs": {}},
            "d": {"use": "@cloudbase/framework-plugin-database", "inputs": {}}
        }}
    }"#;
    let toml = "[[web.functions]]\npath = \"/one\"\nfunction = \"login\"\nauth = true\n\
        [[web.sites]]\npath = \"/set\"\nsite = \"dist\"\nspa = true";
    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("dist/index.html", ""),
        ("cloudbaserc.json", rc),
        ("yunqiao.toml", toml),
    ]);
    let expected = [
        "/one → login auth",
        "/four → login",
        "/five → login",
        "/two → login",
        "/three → login",
    ];
    assert_eq!(routes(&project), expected);
    assert_eq!(
        pages(&project),
        ["/set → dist spa", "/admin → dist", "/h5 → dist"]
    );
    let mut told: Vec<_> = project.findings.iter().map(|finding| &*finding.what.en).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "`cloudPath` of the plugin `y`: \"/a b\" is no path of a route",
            "the plugin `n` (@cloudbase/framework-plugin-node) is not read",
            "the plugin `u` does not say which it is, and is not read",
        ]
    );
    assert!(project.functions["login"].trigger_faults.is_empty());

    let (_dir, project) = open(&[
        CONFIG,
        LOGIN,
        (
            "cloudbaserc.json",
            r#"{"hosting":{"root":"."},"functions":[{"name":"login","servicePath":"x"}]}"#,
        ),
    ]);
    assert_eq!(pages(&project), [""; 0]);
    let told = format!("{:?}", project.findings);
    assert!(
        told.contains("the project's own folder") && told.contains("no path of a route"),
        "{told}"
    );
}

/// What clients may do with each collection, and which file says so.
fn permissions(project: &Project) -> Vec<String> {
    let collections = project.settings.database.collections.iter();
    let told = collections.map(|(name, collection)| {
        let source = collection
            .permission_source
            .map_or(String::new(), |source| source.to_string());
        let permission = match &collection.permission {
            Some(rules::Permission::Rules(rules)) => rules.rule(rules::Operation::Read).text(),
            Some(permission) => permission.tag(),
            None => "",
        };
        format!("{name} {permission} {source}").trim_end().to_owned()
    });
    told.collect()
}

const DATABASE_PLUGIN: &str = r#"{"framework": {"plugins": {
  "db": {"use": "@cloudbase/framework-plugin-database", "inputs": {"collections": [
    {"collectionName": "news", "aclTag": "ADMINWRITE"},
    {"collectionName": "posts", "aclTag": "CUSTOM", "aclRule": {"read": true, "write": false}},
    {"collectionName": "notes", "aclRule": "{\"read\": \"auth != null\"}"},
    {"collectionName": "plain", "description": "nothing said"},
    {"collectionName": "todos", "aclTag": "ADMINONLY"},
    {"collectionName": "odd", "aclTag": "{{env.ACL}}"},
    {"collectionName": "mended", "aclTag": "EVERYBODY"},
    {"collectionName": "custom", "aclTag": "CUSTOM"}
  ]}},
  "f": {"use": "@cloudbase/framework-plugin-function", "inputs": {"collections": [{"collectionName": "x", "aclTag": "READONLY"}]}}
}}}"#;

#[test]
fn permissions_of_collections_are_read_where_a_project_has_them_and_yunqiao_toml_has_the_last_word() {
    let (dir, project) = open(&[
        CONFIG,
        LOGIN,
        ("cloudbaserc.json", DATABASE_PLUGIN),
        (
            "database.rules.json",
            "{\n\"posts\": \"readonly\",\n\"todos\": {\"read\": \"auth.openid == doc._openid\"},\n\"shops\": {\"aclTag\": \"PRIVATE\"},\n\
             \"places\": {\"read\": \"doc.\"}}",
        ),
        (
            "yunqiao.toml",
            "[database.collections.mended]\npermission = \"READONLY\"\n[database.collections.plain]\nindexes = [[\"a\"]]",
        ),
    ]);
    assert_eq!(
        permissions(&project),
        [
            "custom ADMINONLY cloudbaserc.json",
            "mended READONLY yunqiao.toml",
            "news ADMINWRITE cloudbaserc.json",
            "notes auth != null cloudbaserc.json",
            "odd ADMINONLY cloudbaserc.json",
            "places ADMINONLY database.rules.json",
            "plain",
            "posts READONLY database.rules.json",
            "shops PRIVATE database.rules.json",
            "todos auth.openid == doc._openid database.rules.json",
        ]
    );
    let found: Vec<_> = project.findings.iter().map(ToString::to_string).collect();
    let found = found
        .join("\n")
        .replace(&format!("{}/", dir.path().display()), "");
    for part in [
        "database.rules.json: line 5: the rule of \"places\" cannot be used",
        "cloudbaserc.json: line 8: the permission of \"odd\" is \"{{env.ACL}}\"; so clients can neither read nor write it — write READONLY",
        "cloudbaserc.json: line 10: `aclTag` is CUSTOM, and there is no `aclRule`",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
    assert_eq!(project.findings.len(), 3, "{found}");
}

#[test]
fn rules_of_functions_are_read_where_a_project_has_them_and_yunqiao_toml_has_the_last_word() {
    let cloudbaserc = r#"{
  "functions": [{"name": "open", "aclRule": {"invoke": true}}, {"name": "both", "aclRule": {"invoke": true}},
    {"name": "closed", "timeout": 20}, {"name": "twice", "aclRule": {"invoke": false}}, {"name": "twice", "memorySize": 256}],
  "framework": {"plugins": {"f": {"use": "@cloudbase/framework-plugin-function", "inputs": {"functions": [
    {"name": "plugged", "aclRule": {"invoke": "auth.loginType != 'ANONYMOUS' && auth != null"}},
    {"name": "odd", "aclRule": {"invoke": "doc.a == 1"}},
    {"name": "mended", "aclRule": "EVERYBODY"},
    {"name": "closed", "timeout": 5, "aclRule": {"invoke": false}},
    {"name": "twice", "aclRule": {"invoke": true}}
  ]}}}}
}"#;
    let toml = "[functions.\"*\"]\ninvoke = \"auth.openid != null\"\n[functions.both]\ninvoke = \"auth != null\"\n[functions.mended]\ninvoke = true\n";
    let names = [
        "open", "both", "plugged", "odd", "mended", "closed", "twice", "other",
    ];
    let sources = names.map(|name| {
        (
            format!("cloudfunctions/{name}/index.js"),
            "exports.main = () => 1",
        )
    });
    let mut files = vec![CONFIG, ("cloudbaserc.json", cloudbaserc), ("yunqiao.toml", toml)];
    files.extend(sources.iter().map(|(path, text)| (path.as_str(), *text)));
    let (_dir, project) = open(&files);
    let rules = &project.settings.function_rules;
    let named = "auth.loginType != 'ANONYMOUS' && auth != null";
    assert_eq!(
        names.map(|name| rules.of(name).text()),
        [
            "true",
            "auth != null",
            named,
            "false",
            "true",
            "false",
            "false",
            "auth.openid != null"
        ],
        "a rule holds where only one of the entries for a function has it, and the last has the last word"
    );
    let alone = &project.settings.ruled_by_cloudbaserc;
    assert_eq!(
        names.map(|name| alone.contains(name)),
        [true, false, true, true, false, true, true, false],
        "{names:?}"
    );
    let told: Vec<_> = project
        .findings
        .iter()
        .map(|finding| finding.what.en.as_str())
        .collect();
    assert!(
        told.iter()
            .any(|what| what.starts_with("function odd: its aclRule cannot be used")),
        "{told:?}"
    );

    let (_dir, project) = open(&[CONFIG, LOGIN]);
    assert_eq!(project.settings.function_rules.of("login").text(), "auth != null");
    assert_eq!(
        toml_refusal("[functions.login]\ninvoke = \"doc.a == 1\""),
        "yunqiao.toml:2: `functions.login.invoke` cannot be used: the rule \"invoke\" is wrong at character 1: there is no \"doc\" in rules: there is auth — write invoke = true, false or \"auth != null\""
    );
    assert!(toml_refusal("[functions.\"*\"]\ntimeout = 3").contains("unknown key `timeout`"));
}

#[test]
fn a_file_of_rules_for_something_else_is_told_and_opens_nothing() {
    for (text, part) in [
        (
            r#"{"rules": {"posts": {".read": true}}}"#,
            Some("rules of Firebase"),
        ),
        (r#"{"rules": {".write": false}}"#, Some("rules of Firebase")),
        (
            r#"{"read": true, "write": false}"#,
            Some("not for which collection"),
        ),
        (r#"{"rules": {"posts": "PRIVATE"}}"#, None),
        (
            r#"{"$schema": "https://example.com/rules", "collections": [{"collectionName": "posts", "aclTag": "PRIVATE"}]}"#,
            None,
        ),
    ] {
        let (_dir, project) = open(&[CONFIG, LOGIN, ("database.rules.json", text)]);
        let found = format!("{:?}", project.findings);
        match part {
            Some(part) => assert!(
                found.contains(part) && permissions(&project).is_empty(),
                "{found}"
            ),
            None => assert_eq!(
                permissions(&project),
                ["posts PRIVATE database.rules.json"],
                "{found}"
            ),
        }
    }
    let text = refusal(&[CONFIG, LOGIN, ("database.rules.json", "{\n\"posts\": true,\n}")]);
    assert!(
        text.starts_with("database.rules.json:3:1: trailing comma"),
        "{text}"
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let dir = lay(&[
        CONFIG,
        LOGIN,
        ("cloudbaserc.json", "{ half"),
        (
            "yunqiao.toml",
            "apid = \"wx1\"\n\
             listen = \"nowhere\"\n\
             [login]\n\
             ttl = \"soon\"\n\
             tll = \"2h\"\n\
             [functions.login]\n\
             timeout = 9000\n\
             memory = \"much\"\n\
             [[web.functions]]\n\
             path = \"/a\"\n\
             function = \"login\"\n\
             [[web.functions]]\n\
             path = \"nowhere\"\n\
             function = \"login\"\n\
             [apps.wx9999999999999999]\n\
             secret_file = 5\n",
        ),
    ]);
    let error = open_with(dir.path(), None).unwrap_err();
    let texts: Vec<_> = error.each().iter().map(ToString::to_string).collect();
    let lines: Vec<_> = texts
        .iter()
        .filter_map(|text| {
            text.split_once("yunqiao.toml:")?
                .1
                .split_once(':')?
                .0
                .parse()
                .ok()
        })
        .collect::<Vec<u32>>();
    // The second path is gone, and [apps.…] without a secret_file, only because of what was refused in them.
    assert_eq!(lines, [1, 2, 4, 5, 7, 8, 13, 16], "{texts:#?}");
    assert!(texts[0].contains("cloudbaserc.json:1:"), "{texts:#?}");
    assert_eq!(texts.len(), 9);
    assert_eq!(error.to_string(), texts.join("\n"));
}

#[test]
fn what_is_simulated_is_declared_with_the_lines_where_it_stands() {
    let toml = r#"
        [sim.users.carol]
        openid = "oCarol_0001"
        unionid = false
        nick_name = "卡罗"
        city = ""
        phone = "13800138000"
        steps = [1200, 8000]

        [sim.users."小明"]

        [sim.templates.paid]
        title = "付款成功"
        fields = ["thing1", "date2"]

        [sim.templates.weekly]
        content = "内容:{{thing1.DATA}}"
        type = 3

        [sim.subscriptions]
        alice = ["paid", "weekly"]
        carol = { paid = 3 }
        "#;
    let (_dir, project) = open(&[CONFIG, LOGIN, ("yunqiao.toml", toml)]);
    let sim = project.settings.sim;
    let carol = SimUser {
        name: "carol".to_owned(),
        line: 2,
        openid: Some("oCarol_0001".to_owned()),
        unionid: Some(None),
        nick_name: Some("卡罗".to_owned()),
        city: Some(String::new()),
        phone: Some("13800138000".to_owned()),
        steps: Some(vec![1200, 8000]),
        ..SimUser::default()
    };
    assert_eq!(sim.users[0], carol);
    assert_eq!((sim.users[1].name.as_str(), sim.users[1].line), ("小明", 10));
    let (paid, weekly) = (&sim.templates[0], &sim.templates[1]);
    assert_eq!(
        (paid.kind, paid.content.as_str()),
        (2, "{{thing1.DATA}}\n{{date2.DATA}}\n")
    );
    assert_eq!((weekly.kind, weekly.line), (3, 16));
    let subscriptions: Vec<_> = sim
        .subscriptions
        .iter()
        .map(|one| (one.user.as_str(), one.template.as_str(), one.left, one.line))
        .collect();
    assert_eq!(
        subscriptions,
        [
            ("alice", "paid", 1, 21),
            ("alice", "weekly", 1, 21),
            ("carol", "paid", 3, 22)
        ]
    );
}

//! The commands that need no server, and what a person sees when something is wrong.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{APPID, Dev, Scratch, Server, run, yunqiao};

/// WeChat's own published vector (the demo that comes with "signature verification and decryption").
const KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
pub(crate) const DATA: &str = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==";

fn piped(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = yunqiao()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn decrypt_prints_the_plaintext() {
    let args = ["decrypt", "--session-key", KEY, "--iv", IV];
    let (code, out, _) = piped(&[&args[..], &[DATA]].concat(), "");
    assert_eq!(code, Some(0));
    let user: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&user["nickName"], &user["openId"]),
        (&json!("Band"), &json!("oGZUI0egBJY1zhBYw2KhdUfwVJJE"))
    );
    let (code, from_pipe, _) = piped(
        &[&args[..], &["--appid", "wx4f4bc4dec97d474b", "-"]].concat(),
        &format!("{DATA}\n"),
    );
    assert_eq!((code, &from_pipe), (Some(0), &out));

    let (code, _, err) = piped(
        &[&args[..], &["--appid", "wx0000000000000000", "-"]].concat(),
        DATA,
    );
    assert_eq!(code, Some(1));
    assert!(
        err.contains("wx4f4bc4dec97d474b") && err.contains("wx0000000000000000"),
        "{err}"
    );
    let spaced = DATA.replace('+', " ");
    let (code, _, err) = piped(&[&args[..], &["-"]].concat(), &spaced);
    assert_eq!(code, Some(1));
    assert!(err.contains('+'), "{err}");
    let (code, out, _) = piped(
        &["--json", "decrypt", "--session-key", "short", "--iv", IV, DATA],
        "",
    );
    assert_eq!(code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["errCode"], -41001);
}

/// WeChat's own example of a push in secure mode ("消息推送").
const PUSH: [&str; 14] = [
    "decrypt",
    "--push",
    "--token",
    "AAAAA",
    "--aes-key",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "--timestamp",
    "1714112445",
    "--nonce",
    "415670741",
    "--msg-signature",
    "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
    "--appid",
    "wxba5fad812f8e6fb9",
];
const ENCRYPT: &str = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=";

#[test]
fn decrypt_push_prints_the_message_of_a_body_or_of_its_encrypt() {
    let message = r#"{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}"#;
    for data in [
        ENCRYPT.to_owned(),
        format!("{{\n  \"ToUserName\": \"gh_97417a04a28d\",\n  \"Encrypt\": \"{ENCRYPT}\"\n}}\n"),
        format!("\u{feff}<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{ENCRYPT}]]></Encrypt></xml>"),
    ] {
        let (code, out, err) = piped(&[&PUSH[..], &["-"]].concat(), &data);
        assert_eq!((code, out.trim_end()), (Some(0), message), "{err}");
        assert_eq!(piped(&[&PUSH[..], &[&data]].concat(), "").1, out);
    }
    let (code, out, _) = piped(&[&["--json"], &PUSH[..], &[ENCRYPT]].concat(), "");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, shown["data"].as_str()), (Some(0), Some(message)));
    assert_eq!(shown["packet"], serde_json::from_str::<Value>(message).unwrap());
    // Of two keys, the one that fits.
    let old = ["--aes-key", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"];
    assert_eq!(piped(&[&PUSH[..], &old, &[ENCRYPT]].concat(), "").0, Some(0));
}

#[test]
fn decrypt_push_says_what_is_wrong_with_the_official_number() {
    let with = |name: &str, value: &str| {
        let mut args = PUSH.map(str::to_owned);
        let at = args.iter().position(|arg| arg == name).unwrap();
        args[at + 1] = value.to_owned();
        args
    };
    let body = format!(r#"{{"Encrypt":"{ENCRYPT}"}}"#);
    for (args, data, number, text) in [
        (
            with("--nonce", "415670742"),
            body.as_str(),
            -40001,
            "msg_signature",
        ),
        (with("--token", "AAAAB"), &body, -40001, "Token"),
        (
            with("--appid", "wx0000000000000000"),
            &body,
            -40005,
            "wxba5fad812f8e6fb9",
        ),
        (
            with("--aes-key", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
            &body,
            -40007,
            "EncodingAESKey",
        ),
        (with("--aes-key", "short"), &body, -40004, "43"),
        (with("--nonce", "415670741"), "{}", -40002, "Encrypt"),
        (
            with("--nonce", "415670741"),
            "<!DOCTYPE xml><xml/>",
            -40002,
            "document type",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, out, err) = piped(&[&args[..], &[data]].concat(), "");
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.contains(text) && err.contains(&number.to_string()), "{err}");
        let (code, out, _) = piped(&[&["--json"], &args[..], &[data]].concat(), "");
        assert_eq!(code, Some(1));
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["errCode"], number);
        // In Chinese, also for a program that asks for it.
        let (_, _, err) = piped(&[&["--lang", "zh"], &args[..], &[data]].concat(), "");
        let (_, out, _) = piped(&[&["--lang", "zh", "--json"], &args[..], &[data]].concat(), "");
        for told in [err, out] {
            let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
            let said = told.replace("错误", "");
            assert!(said.chars().filter(|c| is_chinese(*c)).count() > 3, "{told}");
            assert!(said.contains(&number.to_string()), "{told}");
        }
    }
    // What is missing is named.
    let (code, _, err) = piped(&[&PUSH[..10], &[ENCRYPT]].concat(), "");
    assert_eq!(code, Some(2));
    assert!(
        err.contains("--msg-signature") && err.contains("--appid"),
        "{err}"
    );
    let (code, _, err) = piped(&["decrypt", ENCRYPT], "");
    assert_eq!(code, Some(2));
    assert!(err.contains("--session-key") && err.contains("--iv"), "{err}");
}

#[test]
fn the_example_in_decrypts_help_works_as_written() {
    let (_, help, _) = run(yunqiao().args(["decrypt", "--help"]));
    let example = &help[help.rfind("yunqiao decrypt --push").unwrap()..];
    let program = yunqiao().get_program().to_owned();
    let script = format!("yunqiao() {{ \"$0\" \"$@\"; }}\n{example}");
    let (output, out, err) = run(Command::new("sh").arg("-c").arg(script).arg(program));
    assert!(output.status.success(), "{err}");
    assert_eq!(out, "{\"demo_resp\":\"good luck\"}\n");
}

#[test]
fn sign_and_verify_agree_with_wechats_example() {
    let raw = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
    let key = "HyVFkGl5F5OQWJZZaNzBBg==";
    let signature = "75e81ceda165f4ffa64f4068af58c64b8f54b88c";
    let (code, out, _) = piped(&["sign", "--session-key", key, raw], "");
    assert_eq!((code, out.trim()), (Some(0), signature));
    let verify = ["verify", "--session-key", key, "--signature", signature, "-"];
    assert_eq!(piped(&verify, raw).0, Some(0));
    // To the byte: a line break that an editor added is not part of it.
    let (code, out, _) = piped(&verify, &format!("{raw}\n"));
    assert_eq!(code, Some(1));
    assert!(out.contains("without the line end"), "{out}");
    let (code, out, _) = piped(&verify, &raw.replace('/', "\\/"));
    assert_eq!(code, Some(1));
    assert!(out.contains("parsed and written again"), "{out}");
    // Signing one says so, where it does not disturb.
    let (code, out, err) = piped(&["sign", "--session-key", key, "-"], &format!("{raw}\n"));
    assert_eq!(code, Some(0));
    assert!(out.trim() != signature && err.contains("line end"), "{out}{err}");
    let marked = format!("\u{feff}{key}");
    let (code, out, err) = piped(&["sign", "--session-key", &marked, "-"], raw);
    assert_eq!((code, out.trim(), err.as_str()), (Some(0), signature, ""));
}

#[test]
fn init_makes_a_project_of_its_own() {
    let dir = TempDir::new().unwrap();
    let shop = dir.path().join("My \"Shop\"");
    let init = |args: &[&str]| run(yunqiao().arg("init").arg(&shop).args(args));
    let (output, out, err) = init(&["--appid", APPID, "--json"]);
    assert!(output.status.success(), "{err}");
    let made: Value = serde_json::from_str(&out).unwrap();
    let read = |file: &str| std::fs::read_to_string(shop.join(file)).unwrap();
    for file in made["files"].as_array().unwrap() {
        let text = read(file.as_str().unwrap());
        // Nothing of ours is in it, neither name nor licence; nothing is left to fill in.
        for foreign in ["quickstart", "Apache", "{{name}}", "{{appid}}", "{{package}}"] {
            assert!(!text.contains(foreign), "{foreign} in {file}");
        }
    }
    let config: Value = serde_json::from_str(&read("project.config.json")).unwrap();
    assert_eq!(
        (&config["projectname"], &config["appid"]),
        (&json!("My \"Shop\""), &json!(APPID))
    );
    let (output, _, err) = init(&[]);
    assert!(!output.status.success() && err.contains("not empty"), "{err}");
    // What is to be typed next can be typed, also by whom npx has brought here.
    for (command, typed) in [
        ("", "\n  yunqiao dev 'an other'"),
        ("exec", "\n  npx yunqiao dev 'an other'"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut init = yunqiao();
        init.args(["init", "an other"]).env("npm_command", command);
        let (_, out, err) = run(init.current_dir(folder.path()));
        assert!(out.contains(typed), "{out}{err}");
    }
    // Where it cannot see what lies there, it writes nothing either.
    let (output, _, err) = run(yunqiao().arg("init").arg(shop.join("README.md")));
    assert!(
        !output.status.success() && err.contains("cannot be looked into"),
        "{err}"
    );

    // It is in good health, and its own test passes, by the command that its README names.
    let here = |args: &[&str]| run(yunqiao().args(args).current_dir(&shop));
    let (output, out, err) = here(&["doctor"]);
    assert!(output.status.success(), "{out}{err}");
    let (output, out, err) = here(&["exec", ".", "--", "npm", "test"]);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("tests 3") && out.contains("pass 3"), "{out}");

    // Each line of the settings counts once its # is gone, and every command of the README is one.
    let settings = read("yunqiao.toml");
    let settings: Vec<_> = settings
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', ':']) => setting,
            _ => line,
        })
        .collect();
    std::fs::write(shop.join("yunqiao.toml"), settings.join("\n")).unwrap();
    std::fs::write(shop.join("appsecret"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::create_dir(shop.join("dist")).unwrap();
    set_private(&shop.join("appsecret"));
    let (output, _, err) = here(&["serve", "--check"]);
    assert!(output.status.success(), "{err}");
}

fn set_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn it_speaks_chinese_where_that_is_spoken() {
    let project = Scratch::new(&[("login", "exports.main = () => 1")]);
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let help = |command: &mut Command| {
        let (output, out, err) = run(command);
        assert!(output.status.success(), "{err}");
        out
    };
    // By the option, which goes before the environment; and the words that are typed are the same.
    for command in [
        yunqiao().args(["dev", "--help", "--lang", "zh"]),
        yunqiao().args(["dev", "--help"]).env("LANG", "zh_CN.UTF-8"),
    ] {
        let zh = help(command);
        for part in [
            "用法：yunqiao dev",
            "选项",
            "网关的端口",
            "示例：\n  yunqiao dev hello",
        ] {
            assert!(zh.contains(part), "{part}: {zh}");
        }
    }
    let en = help(
        yunqiao()
            .args(["dev", "--help", "--lang=en"])
            .env("LANG", "zh_CN.UTF-8"),
    );
    assert!(!en.chars().any(is_chinese), "{en}");
    let dev = Server::start(Dev::command(yunqiao(), project.path()).env("LC_ALL", "zh_CN.UTF-8"));
    dev.prints("1 个云函数");
    dev.prints("控制台");
    let printed = dev.printed();
    assert!(!printed.contains("gateway"), "{printed}");
}

#[test]
fn what_is_wrong_is_told_in_chinese_where_that_is_spoken() {
    let project = Scratch::new(&[("login", "exports.main = () => require('./Config')")]);
    project.write(
        "cloudfunctions/login/config.json",
        r#"{"triggers": [{"name": "t", "type": "timer", "config": "0 2 * * *"}], "timeout": 20}"#,
    );
    let is_chinese = |char: char| ('\u{4e00}'..='\u{9fff}').contains(&char);
    let say = |args: &[&str]| {
        let (_, out, err) = run(yunqiao()
            .args(args)
            .current_dir(project.path())
            .env("LANG", "zh_CN.UTF-8"));
        format!("{out}{err}")
    };
    // Each line that says something does so in Chinese, with what is typed as it is.
    let all_chinese = |told: &str, parts: &[&str]| {
        for line in told.lines().filter(|line| !line.trim().is_empty()) {
            let is_source = line.trim().starts_with("exports.main");
            assert!(is_source || line.chars().any(is_chinese), "{line}: {told}");
        }
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    };
    let doctor = say(&["doctor"]);
    let parts = [
        "触发器 \"t\" 不会触发",
        "\"0 0 2 * * * *\"",
        "`timeout` 不起作用",
        "引用的 './Config' 不存在",
    ];
    all_chinese(&doctor, &parts);
    all_chinese(&say(&["db", "export", "nope"]), &["没有集合 \"nope\""]);
    all_chinese(&say(&["call", "logon"]), &["是不是想写 \"login\"？", "-501000"]);
    all_chinese(
        &say(&["exec", ".", "--", "yunqiao-has-no-such-command"]),
        &["错误：无法启动"],
    );
    all_chinese(
        &say(&["call", "login", "--as", "zoe"]),
        &["没有用户 \"zoe\"", "[sim.users.NAME]"],
    );
    all_chinese(
        &say(&["simulat"]),
        &["没有命令 simulat，是不是 simulate？", "用法：yunqiao"],
    );
    let key = ["--session-key", "HyVFkGl5F5OQWJZZaNzBBg=="];
    let decrypt = ["decrypt", "--session-key", "abc", "--iv", "x", "y"];
    all_chinese(&say(&decrypt), &["session_key 不是 base64", "-41001"]);
    let verify = [
        "verify",
        key[0],
        key[1],
        "--signature",
        "19036804514e3177482cf7382c6a337cf79b246d",
        "{\"nickName\":\"Band\"}\n",
    ];
    all_chinese(&say(&verify), &["不符：它是去掉末尾换行后的 rawData 的签名"]);
    let (_, told, _) = piped(&[&["--lang", "zh", "--json"], &verify[..]].concat(), "");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told["why"].as_str().unwrap().contains("去掉末尾换行"), "{told}");

    project.write(
        "yunqiao.toml",
        "[login]\nttl = 0\ntimout = 1\n[push]\ntoken = \"x\"\n",
    );
    let check = say(&["serve", "--check"]);
    let parts = [
        "yunqiao.toml:2: `login.ttl` 不是时长",
        "有未知的键 `timout`",
        "消息推送配置",
    ];
    all_chinese(&check, &parts);

    // What a program reads is the same for everybody, unless it asks.
    for args in [&["--json", "serve", "--check"], &["serve", "--check", "--json"]] {
        let told = say(args);
        assert!(told.contains("is no length of time"), "{told}");
    }
    let told = say(&["serve", "--check", "--json", "--lang", "zh"]);
    assert!(told.contains("不是时长"), "{told}");
}

#[test]
fn exec_ends_as_a_shell_does_where_there_is_no_such_command() {
    let project = Scratch::new(&[("login", "exports.main = () => 1")]);
    project.write("not-executable", "");
    let exec = |command: &str, json: bool| {
        let mut yunqiao = yunqiao();
        if json {
            yunqiao.arg("--json");
        }
        run(yunqiao.arg("exec").arg(project.path()).arg("--").arg(command))
    };
    let (output, _, err) = exec("yunqiao-has-no-such-command", false);
    assert_eq!(output.status.code(), Some(127), "{err}");
    assert!(
        err.contains("yunqiao-has-no-such-command could not be started"),
        "{err}"
    );
    let file = project.path().join("not-executable");
    let (output, out, _) = exec(file.to_str().unwrap(), true);
    assert_eq!(output.status.code(), Some(126));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(
        told["errMsg"].as_str().unwrap().contains("not-executable"),
        "{told}"
    );
}

/// What lies in a folder, by the beginning of its name.
fn lies_in(folder: &Path, beginning: &str) -> Vec<String> {
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(beginning)).collect()
}

#[test]
fn nothing_of_a_run_stays_in_the_temporary_folder() {
    let (project, temporary) = (
        Scratch::new(&[("f", "exports.main = () => 1")]),
        TempDir::new().unwrap(),
    );
    let here = || {
        let mut yunqiao = yunqiao();
        yunqiao.env("TMPDIR", temporary.path());
        yunqiao
    };
    drop(Server::start(&mut Dev::command(here(), project.path())));
    assert_eq!(lies_in(temporary.path(), "yunqiao-"), [""; 0]);

    // One that is killed leaves its files, until the next.
    let mut killed = here();
    killed
        .arg("exec")
        .arg(project.path())
        .args(["--", "sh", "-c", "echo begun; cat"]);
    killed
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut killed = killed.spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(killed.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "begun\n");
    let left = lies_in(temporary.path(), "yunqiao-files-");
    assert_eq!(left.len(), 1, "{left:?}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(temporary.path().join(&left[0]).is_dir());
    let (output, _, err) = run(here().arg("exec").arg(project.path()).args(["--", "true"]));
    assert!(output.status.success(), "{err}");
    assert_eq!(lies_in(temporary.path(), "yunqiao-files-"), [""; 0]);
}

#[test]
fn json_is_for_programs_wherever_it_is_offered() {
    let project = Scratch::new(&[("login", "exports.main = () => 1")]);
    let ready = || {
        let mut command = Dev::command(yunqiao(), project.path());
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut dev = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(dev.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        (dev, serde_json::from_str::<Value>(&line).unwrap())
    };
    let (first, told) = ready();
    // Another has what it would keep.
    let (second, not_kept) = ready();
    for mut dev in [second, first] {
        let pid = rustix::process::Pid::from_child(&dev);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(dev.wait().unwrap().success());
    }
    for address in ["ready", "web", "wechat", "operator", "console"] {
        assert!(
            told[address].as_str().unwrap().starts_with("http://127.0.0.1:"),
            "{told}"
        );
    }
    let all = |is: bool| json!({"documents": is, "files": is, "wechat": is});
    assert_eq!(told["kept"], all(true), "{told}");
    assert_eq!(not_kept["kept"], all(false), "{not_kept}");

    let (output, out, _) = run(yunqiao().args(["completions", "bash", "--json"]));
    assert!(output.status.success());
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["shell"], "bash");
    assert!(told["script"].as_str().unwrap().contains("complete"), "{told}");

    let nowhere = TempDir::new().unwrap();
    for command in [&["dev"][..], &["serve"], &["exec", ".", "--", "true"], &["logs"]] {
        let (output, out, _) = run(yunqiao()
            .args(command.iter().take(1))
            .arg("--json")
            .args(&command[1..])
            .current_dir(nowhere.path()));
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let told: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{command:?}: {error}: {out}"));
        assert_eq!(told["errCode"], -1, "{command:?}");
    }
}

#[test]
fn call_uses_the_dev_that_runs() {
    let project = Scratch::new(&[(
        "who",
        "exports.main = (event) => ({ ...event, pid: process.ppid })",
    )]);
    let dev = Dev::start(project.path());
    let call = |args: &[&str]| run(yunqiao().arg("call").args(args).arg("--dir").arg(project.path()));
    let (output, out, err) = call(&["who", "--data", r#"{"a":1}"#, "--as", "bob"]);
    assert!(output.status.success(), "{err}");
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(result["a"], 1);
    dev.server.prints("who");

    let (output, out, _) = call(&["absent", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["errCode"], -501000);
    let (output, _, err) = call(&["who", "--as", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("alice"), "it says which users there are: {err}");
    let (output, _, err) = call(&["who", "--cloud-id", "x=steps"]);
    assert!(!output.status.success() && err.contains("weRunData"), "{err}");
    let (output, _, err) = call(&["who", "--data", "[]"]);
    assert!(!output.status.success() && err.contains("object"), "{err}");
}

#[test]
fn a_folder_that_is_no_project_is_told_so() {
    let dir = TempDir::new().unwrap();
    let (output, _, err) = run(yunqiao().arg("dev").arg(dir.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err.contains("project.config.json") && err.contains("yunqiao init"),
        "{err}"
    );
}

#[test]
fn api_shows_the_catalogue() {
    let (output, out, _) = run(yunqiao().args(["api", "subscribeMessage.send"]));
    assert!(output.status.success());
    let lines: Vec<_> = out.lines().collect();
    let column = |line: &str, part: &str| line.find(part).unwrap_or_else(|| panic!("{part}: {out}"));
    assert!(lines[1].starts_with("subscribeMessage.send "), "{out}");
    for (head, cell) in [
        ("method", "POST"),
        ("path", "/cgi-bin/message/subscribe/send"),
        ("cloud call", "yes"),
        ("document", "https://"),
    ] {
        assert_eq!(column(lines[0], head), column(lines[1], cell), "{out}");
    }

    let (_, all, _) = run(yunqiao().arg("api"));
    assert!(all.lines().count() > 600 && all.contains("withdrawn: 45103"));
    let (_, out, _) = run(yunqiao().args(["api", "--json", "/wxa/getwxacodeunlimit"]));
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&found[0]["name"], &found[0]["cloudCall"], &found[0]["method"]),
        (&json!("wxacode.getUnlimited"), &json!("yes"), &json!("POST"))
    );
}

#[test]
fn api_without_a_match_gives_a_hint() {
    for (word, hint) in [
        ("subscribMessage.send", "`subscribeMessage.send`"),
        ("qqqqqqqq", "a part of its name"),
    ] {
        let (output, _, err) = run(yunqiao().args(["api", word]));
        assert_eq!(output.status.code(), Some(1));
        assert!(err.contains(word) && err.contains(hint), "{err}");
    }
}

#[test]
fn api_ends_well_when_nobody_reads_on() {
    let mut child = yunqiao()
        .arg("api")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn doctor_tells_cures_and_tells_what_is_left() {
    let project = Scratch::new(&[(
        "notify",
        "const cloud = require('wx-server-sdk')\n\
         exports.main = async () => {\n  await cloud.openapi.subscribeMessage.send({})\n  await cloud.openapi.no.such({})\n}\n",
    )]);
    let doctor = |args: &[&str]| run(yunqiao().arg("doctor").arg(project.path()).args(args));
    let (output, out, _) = doctor(&[]);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "index.js:3: ",
        "-604101",
        "(--fix does it)",
        "index.js:1: ",
        "index.js:4: ",
        "-604100",
        "3 to mend, 2 of them by --fix",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (output, out, _) = doctor(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["diagnoses"][1]["function"], "notify");
    assert_eq!(report["diagnoses"][1]["line"], 3);
    assert_eq!(report["diagnoses"][1]["curable"], true);
    assert!(!project.path().join("cloudfunctions/notify/config.json").exists());

    let (output, out, _) = doctor(&["--fix"]);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "config.json: added \"subscribeMessage.send\"",
        "package.json: wrote \"wx-server-sdk\"",
        "1 left for you",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    project.write(
        "cloudfunctions/notify/index.js",
        "exports.main = async () => require('wx-server-sdk').openapi.subscribeMessage.send({})",
    );
    let (output, out, _) = doctor(&[]);
    assert!(output.status.success(), "{out}");
    assert!(out.contains("nothing to mend in 1 function"), "{out}");
}

#[test]
fn the_examples_are_in_good_health() {
    let (output, out, _) = run(yunqiao().arg("doctor").arg(crate::support::quickstart()));
    assert!(output.status.success(), "{out}");
}

#[test]
fn help_is_free_of_colour_in_a_pipe() {
    let (output, out, _) = run(yunqiao().args(["call", "--help"]));
    assert!(output.status.success() && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_nearest() {
    let project = Scratch::new(&[("login", "exports.main = () => 1"), ("other", "")]);
    let says = |args: &[&str]| {
        let (output, _, err) = run(yunqiao().args(args).arg("--dir").arg(project.path()));
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        err
    };
    let err = says(&["call", "logn"]);
    assert!(
        err.contains("no function \"logn\"; did you mean \"login\"? (errCode -501000)"),
        "{err}"
    );
    assert!(!err.contains("started"), "nothing is started for it: {err}");
    assert!(says(&["call", "zzz"]).contains("there are: login, other"));
    let err = says(&["push", "txt"]);
    assert!(
        err.contains("no message or event \"txt\"; did you mean `text`?"),
        "{err}"
    );
}

#[test]
fn the_project_is_found_from_a_folder_within_it() {
    let project = Scratch::new(&[("login", "exports.main = () => 'from within'")]);
    let folder = project.path().join("cloudfunctions/login");
    let (output, out, err) = run(yunqiao().args(["call", "login"]).current_dir(&folder));
    assert!(output.status.success() && out.contains("from within"), "{err}");
    // And what is run alone for it is said.
    assert!(err.contains("started for this call alone"), "{err}");
    let (output, _, err) = run(yunqiao().args(["doctor"]).current_dir(&folder));
    assert!(output.status.success(), "{err}");
    // A folder that is named is the one that is meant.
    let (output, _, err) = run(yunqiao().arg("doctor").arg(&folder));
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("project.config.json"), "{err}");
}

#[tokio::test]
async fn a_second_dev_names_the_first_and_leaves_it_its_file() {
    let project = Scratch::new(&[("login", "exports.main = () => 1")]);
    let first = Dev::start(project.path());
    let file = project.path().join(".yunqiao/run.json");
    let before = std::fs::read_to_string(&file).unwrap();
    let second = Server::start(&mut Dev::command(yunqiao(), project.path()));
    second.prints(&format!("runs for this project already: {}", first.server.url));
    drop(second);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let (output, _, err) = run(yunqiao().args(["call", "login", "--dir"]).arg(project.path()));
    assert!(output.status.success() && !err.contains("started"), "{err}");
}

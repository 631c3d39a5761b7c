//! The command line, as `--help` shows it.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, str::FromStr};

use clap::{Args as Arguments, Parser, Subcommand, ValueHint};
use clap_complete::{ArgValueCandidates, ArgValueCompleter};
use database::exchange::FileFormat;
use rules::Level;
use serde_json::Value;

use crate::{
    cloud_id::CloudId,
    complete::{self, Shell},
    lang::Lang,
};

/// Your own WeChat cloud: runs Mini Program cloud functions on a laptop, in CI and in production.
#[derive(Debug, Parser)]
#[command(
    name = "yunqiao",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Start here:\n  yunqiao init hello && yunqiao dev hello")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print for a program to read: results and `ready` as JSON, errors as {"errCode","errMsg"}
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The language of help and of what is said: en or zh; by default that of LANG
    #[arg(long, global = true, value_name = "LANG", hide_possible_values = true)]
    pub(crate) lang: Option<Lang>,
    /// Say more; twice says everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

// Each example runs as it is written, in a folder where `yunqiao init hello` was run before: a test does that.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the project in DIR with a simulated WeChat behind it; reload when a file is saved
    #[command(after_help = "Example:\n  yunqiao dev hello")]
    Dev(Dev),
    /// Run the project while CMD runs, on free ports, and exit with CMD's status
    #[command(after_help = "Example:\n  yunqiao exec hello -- npm test --prefix hello\n\n\
        The exit status is 127 where there is no such command.\n\n\
        CMD finds in its environment:\n  YUNQIAO_URL           the gateway\n  YUNQIAO_WECHAT_URL    the simulated WeChat\n  \
        YUNQIAO_DATABASE_URL  the database for MongoDB's drivers, where [database] wire is set\n\n\
        Other commands of yunqiao that CMD runs, such as `call` and `db import`, mean this run, too.")]
    Exec(Exec),
    /// Call a function as a simulated user
    #[command(after_help = "Examples:\n  yunqiao call login --as bob --dir hello\n  \
        yunqiao call werun --cloud-id weRunData=weRunData --dir hello")]
    Call(Call),
    /// Serve in production, as yunqiao.toml says
    #[command(after_help = "Example:\n  \
        echo 0123456789abcdef0123456789abcdef > hello/appsecret && chmod 600 hello/appsecret\n  \
        echo 'secret_file = \"appsecret\"' >> hello/yunqiao.toml\n  \
        yunqiao serve -c hello/yunqiao.toml --check")]
    Serve(Serve),
    /// Run the simulated WeChat alone, for a backend in any language to be tested against
    #[command(after_help = "Example:\n  yunqiao simulate --push-url http://127.0.0.1:3000/wechat")]
    Simulate(Simulate),
    /// Have the simulated WeChat push a message or an event, and say what it was answered
    #[command(after_help = "Examples:\n  yunqiao push --list xpay\n  \
        yunqiao push text --as bob --content 你好 --dir hello\n  \
        yunqiao push xpay_goods_deliver_notify --field OutTradeNo=T1 --url http://127.0.0.1:3000/wechat\n\n\
        Signed and encrypted with the token and encodingAESKey that GET /sim/app of the simulated WeChat tells. The exit \
        status is 1 if nobody acknowledged.")]
    Push(Push),
    /// Show what functions print, as it happens, and what happened before
    #[command(after_help = "Examples:\n  yunqiao logs --dir hello --no-follow\n  \
        yunqiao logs login --last 5 --json --dir hello --no-follow\n\n\
        Without --no-follow it goes on until it is interrupted. It shows what `yunqiao dev` writes to .yunqiao/calls.jsonl, \
        and needs none to run. `yunqiao serve` prints what fails and what functions print by itself, to standard error.")]
    Logs(Logs),
    /// Print a fresh link to the console of the running project; it opens one browser, once
    #[command(
        after_help = "Example, in another terminal than `yunqiao dev`:\n  yunqiao console --dir hello\n\n\
        With -c it is the console of `yunqiao serve`, and [operator] secret_file must be set."
    )]
    Console(Console),
    /// Decrypt open data (what wx.getUserInfo, getWeRunData, getPhoneNumber … gave as encryptedData and iv), or a message push
    #[command(
        override_usage = "yunqiao decrypt --session-key K --iv IV [--appid A] DATA|-\n       \
            yunqiao decrypt --push --token T --aes-key K --appid A --timestamp S --nonce N --msg-signature G DATA|-",
        after_help = "Example, with what the client sent in a file:\n  \
            yunqiao decrypt --session-key tiihtNczf5v6AKRyjwEUhQ== \\\n    \
            --iv r7BXXKkLb8qrSNn05n0qiA== - < encryptedData.txt\n\n\
            Example of a push:\n  yunqiao decrypt --push --token AAAAA --appid wxba5fad812f8e6fb9 \\\n    \
            --aes-key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA \\\n    \
            --timestamp 1713424427 --nonce 415670741 \\\n    \
            --msg-signature 1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1 \\\n    \
            ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
    )]
    Decrypt(Decrypt),
    /// Print the signature of rawData: sha1(rawData + session_key)
    #[command(
        after_help = "Example:\n  yunqiao sign --session-key HyVFkGl5F5OQWJZZaNzBBg== '{\"nickName\":\"Band\"}'"
    )]
    Sign(Sign),
    /// Check the signature of rawData
    #[command(
        after_help = "Example:\n  yunqiao verify --session-key HyVFkGl5F5OQWJZZaNzBBg== \\\n    \
            --signature 19036804514e3177482cf7382c6a337cf79b246d '{\"nickName\":\"Band\"}'"
    )]
    Verify(Verify),
    /// Show WeChat's server API: name, method, path, cloud call or not, document
    #[command(after_help = "Example:\n  yunqiao api subscribeMessage\n\n\
        An interface with cloud call is called as cloud.openapi.NAME(…), once config.json lists its name in permissions.openapi.")]
    Api(Api),
    /// Say what is wrong with the project in DIR, and the mend
    #[command(after_help = "Example:\n  yunqiao doctor hello\n\n\
        The functions' source is searched as text: where the name of an interface is computed or kept in a variable, \
        the place is named. What packages in node_modules call is not seen.")]
    Doctor(Doctor),
    /// List the collections of the project's database, import and export documents, make indexes
    #[command(after_help = "Examples:\n  \
        echo '{\"_id\":\"t1\",\"title\":\"buy milk\"}' | yunqiao db --dir hello import todos -\n  \
        yunqiao db --dir hello index todos status -createTime\n  yunqiao db --dir hello ls\n  yunqiao db --dir hello export todos todos.csv\n\n\
        A `yunqiao dev` that runs for the project goes on meanwhile. With -c it is the database of `yunqiao serve`; while that \
        one runs, [operator] secret_file must be set.")]
    Db(Db),
    /// List, upload, download and remove the files of the project's storage, or copy them from another place
    #[command(
        after_help = "Examples:\n  echo hello > hello.txt && yunqiao files --dir hello put hello.txt notes/\n  \
        yunqiao files --dir hello ls -r\n  yunqiao files --dir hello get notes/ copy-of-notes\n  \
        yunqiao files --dir hello rm notes/hello.txt\n\n\
        A PATH is a cloudPath or a file id; one that ends with / is a folder. A `yunqiao dev` that runs for the project goes on \
        meanwhile. With -c they are the files of `yunqiao serve`; while that one runs and keeps them in a folder, [operator] \
        secret_file must be set."
    )]
    Files(Files),
    /// Write what `yunqiao dev` keeps of the project into a folder that can be committed, or bring it back: users, templates,
    /// subscriptions and the outbox of the simulated WeChat, documents, files
    #[command(after_help = "Examples:\n  yunqiao state --dir hello export fixture\n  \
        yunqiao state --dir hello import fixture --replace\n  yunqiao exec hello --import fixture -- npm test --prefix hello\n\n\
        A `yunqiao dev` that runs for the project goes on meanwhile. No session, key or token is in what is written.")]
    State(State),
    /// Let users log in by name and password: keep the file that [auth] passwords names
    #[command(
        after_help = "Examples:\n  echo 'correct horse' | yunqiao user --dir hello add alice\n  yunqiao user --dir hello ls\n\n\
        The password is asked for, or is one line of standard input; a hash of it is kept. Whoever runs the project sees the change at \
        once."
    )]
    User(User),
    /// Make a little project of your own in DIR: a page, two functions, a test
    #[command(after_help = "Example:\n  yunqiao init hello")]
    Init(Init),
    /// Print the JSON Schema of yunqiao.toml, by which an editor completes and checks it
    #[command(after_help = "Example:\n  yunqiao schema > hello/yunqiao.schema.json\n\n\
        The first line of yunqiao.toml names it: #:schema ./yunqiao.schema.json. Editors with taplo or Even Better TOML read it. \
        `yunqiao init` writes both.")]
    Schema,
    /// Print what a shell needs to complete commands, options, and names of functions, users, pushes and APIs
    #[command(after_help = "Examples, one for each shell:\n  \
        echo 'source <(yunqiao completions bash)' >> ~/.bashrc\n  \
        echo 'source <(yunqiao completions zsh)' >> ~/.zshrc\n  \
        echo 'yunqiao completions fish | source' >> ~/.config/fish/config.fish\n\n\
        In .zshrc the line stands after compinit.")]
    Completions(Completions),
}

#[derive(Debug, Arguments)]
pub(crate) struct Dev {
    /// The project: a folder with project.config.json or yunqiao.toml
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The gateway's port; 0 picks a free one, and so for each of the others that is not given
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// The simulated WeChat's port; 0 picks a free one [default: 8788, or a free one beside `--port 0`]
    #[arg(long)]
    pub(crate) wechat_port: Option<u16>,
    /// The operator's port, on this machine only; 0 picks a free one [default: 8789, or a free one beside `--port 0`]
    #[arg(long)]
    pub(crate) operator_port: Option<u16>,
    /// The port of HTTP access and of the site; 0 picks a free one [default: 8786, or a free one beside `--port 0`]
    #[arg(long)]
    pub(crate) web_port: Option<u16>,
    /// The address to listen on; other than loopback opens gateway, web and simulated WeChat to the network (a phone, say)
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Start workers with Node's inspector: of one function, or of all
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "",
        add = ArgValueCandidates::new(complete::functions)
    )]
    pub(crate) inspect: Option<String>,
    /// Begin with what yunqiao.toml declares and a seed alone, and keep nothing of this run; what was kept before stays as it is
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) node: Node,
}

impl Dev {
    /// The port that is asked for, else the usual one; whoever wants any free port for the gateway wants no fixed one for the others.
    pub(crate) fn port_or(&self, wanted: Option<u16>, usual: u16) -> u16 {
        wanted.unwrap_or(if self.port == 0 { 0 } else { usual })
    }
}

#[derive(Debug, Arguments)]
pub(crate) struct Exec {
    /// The project: a folder with project.config.json or yunqiao.toml
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Begin with the state in FROM, as `yunqiao state export` wrote it
    #[arg(long, value_name = "FROM", value_hint = ValueHint::AnyPath)]
    pub(crate) import: Option<PathBuf>,
    /// Write the state that CMD has left into TO, whatever its status
    #[arg(long, value_name = "TO", value_hint = ValueHint::AnyPath)]
    pub(crate) export: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) node: Node,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Clone, Debug, Arguments)]
pub(crate) struct Node {
    /// Install nothing: dependencies must be cached, or lie in node_modules
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Call {
    /// The function
    #[arg(add = ArgValueCandidates::new(complete::functions))]
    pub(crate) name: String,
    /// The call's data, a JSON object
    #[arg(long, default_value = "{}", value_name = "JSON")]
    pub(crate) data: String,
    /// The simulated user who calls
    #[arg(
        long = "as",
        default_value = "alice",
        value_name = "USER",
        add = ArgValueCandidates::new(complete::users)
    )]
    pub(crate) user: String,
    /// Put a fresh cloudID of KIND at the top-level field FIELD, as wx.cloud.CloudID would
    #[arg(long = "cloud-id", value_name = "FIELD=KIND", add = ArgValueCompleter::new(complete::cloud_ids))]
    pub(crate) cloud_ids: Vec<CloudId>,
    /// Fire a timer of the function now: the one of this name in its config.json, or the only one
    #[arg(
        long,
        value_name = "TRIGGER",
        num_args = 0..=1,
        default_missing_value = "",
        add = ArgValueCandidates::new(complete::triggers),
        conflicts_with_all = ["data", "user", "cloud_ids"]
    )]
    pub(crate) timer: Option<String>,
    /// The project, whose running `yunqiao dev` is used where there is one
    #[arg(long, default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) node: Node,
}

#[derive(Debug, Arguments)]
pub(crate) struct Serve {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "yunqiao.toml", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
    /// Only look: say everything that is wrong, and start nothing
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) node: Node,
}

#[derive(Debug, Arguments)]
pub(crate) struct Simulate {
    /// The port; 0 picks a free one
    #[arg(long, default_value_t = 8788)]
    pub(crate) port: u16,
    /// The address to listen on; other than loopback opens it to the network
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The Mini Program's appid
    #[arg(long)]
    pub(crate) appid: Option<String>,
    /// Its AppSecret, which a backend under test is configured with
    #[arg(long)]
    pub(crate) secret: Option<String>,
    /// Keep users, templates and subscriptions in FILE from one start to the next
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Where messages and events are pushed; without it only `yunqiao push --url` pushes any
    #[arg(long, value_name = "URL")]
    pub(crate) push_url: Option<String>,
    /// How pushes are encrypted (消息加解密方式): plain, compatible or secure
    #[arg(long, value_name = "MODE", default_value = "secure")]
    pub(crate) push_mode: push::Mode,
    /// How pushes are written (数据格式): json or xml
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) push_format: push::Format,
}

#[derive(Debug, Arguments)]
pub(crate) struct Push {
    /// The message's MsgType, the event's Event, or the console's name for it
    #[arg(value_name = "TYPE", add = ArgValueCandidates::new(complete::pushes))]
    pub(crate) kind: Option<String>,
    /// List what can be pushed, with its fields: all, or where TYPE is a part of the name
    #[arg(long)]
    pub(crate) list: bool,
    /// Push nothing: verify the URL as WeChat does before it pushes there
    #[arg(long, conflicts_with_all = ["kind", "list", "user", "content", "fields", "data"])]
    pub(crate) verify: bool,
    /// The simulated user whose message or event it is; the first if left out
    #[arg(long = "as", value_name = "USER", add = ArgValueCandidates::new(complete::users))]
    pub(crate) user: Option<String>,
    /// The field Content: what a user writes
    #[arg(long, value_name = "TEXT")]
    pub(crate) content: Option<String>,
    /// A field instead of the made-up one; V is JSON where it can be read as JSON, and else a text; null leaves K out
    #[arg(long = "field", value_name = "K=V")]
    pub(crate) fields: Vec<FieldGiven>,
    /// Fields as a JSON object; --field and --content go before them
    #[arg(long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    /// Where to, instead of to the project's functions
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The simulated WeChat that pushes, as `yunqiao simulate` printed it
    #[arg(long, value_name = "URL")]
    pub(crate) wechat: Option<String>,
    /// The project, whose running `yunqiao dev` is used where there is one
    #[arg(long, default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) node: Node,
}

#[derive(Debug, Arguments)]
pub(crate) struct Logs {
    /// Only the calls of this function
    #[arg(add = ArgValueCandidates::new(complete::functions))]
    pub(crate) name: Option<String>,
    /// How much to show of what happened before, in calls
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) last: usize,
    /// End after what there is
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// The project
    #[arg(long, default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Arguments)]
pub(crate) struct Console {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Open it in the browser as well: by $BROWSER, or the system's usual one
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// `K=V`.
#[derive(Clone, Debug)]
pub(crate) struct FieldGiven {
    pub(crate) name: String,
    pub(crate) value: Value,
}

impl FromStr for FieldGiven {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or("write K=V, such as SessionFrom=help")?;
        Ok(Self {
            name: name.to_owned(),
            value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        })
    }
}

#[derive(Debug, Arguments)]
pub(crate) struct SessionKey {
    /// The session_key that auth.code2Session gave (24 characters of base64)
    #[arg(long, env = "YUNQIAO_SESSION_KEY", hide_env_values = true, value_name = "K")]
    pub(crate) session_key: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Decrypt {
    /// The session_key that auth.code2Session gave (24 characters of base64)
    #[arg(
        long,
        env = "YUNQIAO_SESSION_KEY",
        hide_env_values = true,
        value_name = "K",
        required_unless_present = "push"
    )]
    pub(crate) session_key: Option<String>,
    /// The iv that came with the data
    #[arg(long, required_unless_present = "push", conflicts_with = "push")]
    pub(crate) iv: Option<String>,
    /// Refuse data that was made for another app
    #[arg(long, value_name = "A")]
    pub(crate) appid: Option<String>,
    /// Decrypt a message push instead, with the settings of the console (消息推送配置)
    #[arg(long, requires_all = ["token", "aes_key", "appid", "timestamp", "nonce", "msg_signature"])]
    pub(crate) push: bool,
    /// The Token of the console's push settings
    #[arg(
        long,
        env = "YUNQIAO_PUSH_TOKEN",
        hide_env_values = true,
        value_name = "T",
        help_heading = "Message push"
    )]
    pub(crate) token: Option<String>,
    /// The EncodingAESKey of the console's push settings (43 characters); may be given several times, for old and new
    #[arg(
        long,
        env = "YUNQIAO_PUSH_AES_KEY",
        hide_env_values = true,
        value_name = "K",
        help_heading = "Message push"
    )]
    pub(crate) aes_key: Vec<String>,
    /// timestamp in the URL
    #[arg(long, value_name = "S", requires = "push", help_heading = "Message push")]
    pub(crate) timestamp: Option<String>,
    /// nonce in the URL
    #[arg(long, value_name = "N", requires = "push", help_heading = "Message push")]
    pub(crate) nonce: Option<String>,
    /// msg_signature in the URL
    #[arg(long, value_name = "G", requires = "push", help_heading = "Message push")]
    pub(crate) msg_signature: Option<String>,
    /// The encryptedData; of a push, the body (JSON or XML) or the text of Encrypt; `-` reads it from standard input
    #[arg(value_name = "DATA")]
    pub(crate) data: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) key: SessionKey,
    /// The rawData, to the byte; `-` reads it from standard input
    #[arg(value_name = "RAWDATA")]
    pub(crate) raw_data: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) key: SessionKey,
    /// The signature that the client sent (40 hexadecimal digits)
    #[arg(long, value_name = "G")]
    pub(crate) signature: String,
    /// The rawData, to the byte; `-` reads it from standard input
    #[arg(value_name = "RAWDATA")]
    pub(crate) raw_data: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct Api {
    /// A part of the name, the path, or the document's title; the best match comes first
    #[arg(add = ArgValueCandidates::new(complete::apis))]
    pub(crate) word: Option<String>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Doctor {
    /// The project: a folder with project.config.json or yunqiao.toml
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Mend what can be mended in config.json and package.json, and say what was done
    #[arg(long)]
    pub(crate) fix: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Db {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: DbCommand,
}

/// Whose database, or files.
#[derive(Debug, Arguments)]
pub(crate) struct Place {
    /// The project whose data `yunqiao dev` keeps
    #[arg(long, global = true, default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The configuration of `yunqiao serve`, for the data that it keeps
    #[arg(
        short,
        long,
        global = true,
        value_name = "yunqiao.toml",
        conflicts_with = "dir",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub(crate) struct User {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user, with a uid that nobody has
    Add {
        /// By which they log in, such as alice or alice@example.com
        name: String,
        /// Give a user who is there another password; whoever logged in with the old one is logged out
        #[arg(long)]
        replace: bool,
    },
    /// List users: uid, name
    Ls,
    /// Remove a user; what they own stays, and whoever logged in by that name is logged out
    Rm {
        /// By which they log in
        name: String,
    },
}

#[derive(Debug, Arguments)]
pub(crate) struct State {
    /// The project
    #[arg(long, global = true, default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Write the state into TO
    Export {
        /// A folder, or a file that ends with .tgz; a state that is there gives way
        #[arg(value_hint = ValueHint::AnyPath)]
        to: PathBuf,
    },
    /// Bring in the state in FROM, where nothing is kept yet
    Import {
        /// The folder, or the .tgz file
        #[arg(value_hint = ValueHint::AnyPath)]
        from: PathBuf,
        /// Take the place of all that is kept; if the import fails, everything stays as it was
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Arguments)]
pub(crate) struct Files {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: FilesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FilesCommand {
    /// List files: size, when it was written, whose it is, path
    Ls {
        /// What their paths begin with, such as photos/
        #[arg(default_value = "")]
        path: String,
        /// Those in folders too, instead of the folders
        #[arg(short, long)]
        recursive: bool,
    },
    /// Upload a file, or all files of a folder, and print their file ids
    Put {
        /// The file or folder on this machine; - is standard input, and wants PATH
        #[arg(value_hint = ValueHint::AnyPath)]
        source: PathBuf,
        /// Where to; below it, where it ends with / or SOURCE is a folder [default: SOURCE's name]
        path: Option<String>,
        /// Whose the files become: an openid [default: nobody's, as what functions upload]
        #[arg(long, default_value = "", hide_default_value = true)]
        owner: String,
    },
    /// Download a file, or all files of a folder
    Get {
        /// The file, or the folder with / at its end
        path: String,
        /// Where to on this machine; - prints a file [default: PATH's name; / needs one]
        #[arg(value_hint = ValueHint::AnyPath)]
        target: Option<PathBuf>,
        /// Replace files that are on this machine already
        #[arg(short, long)]
        force: bool,
    },
    /// Remove files
    Rm {
        /// Files; with -r also folders, with / at their end
        #[arg(required = true)]
        paths: Vec<String>,
        /// All files of a folder
        #[arg(short, long)]
        recursive: bool,
        /// All files that there are, as / with -r
        #[arg(long, requires = "recursive")]
        all: bool,
    },
    /// Copy files with their owners and types from another place, such as the folder in which they lay before [storage] s3 was set;
    /// those that are there already are left out
    Cp {
        /// The other place: a folder of files, another project, or its yunqiao.toml
        #[arg(long, value_hint = ValueHint::AnyPath)]
        from: PathBuf,
        /// What their paths begin with
        #[arg(default_value = "")]
        path: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// List collections, how many documents each has, and its indexes
    Ls,
    /// Put the documents of FILE into a collection, which is made if it is not there
    #[command(
        after_help = "FILE is what the console of WeChat exports, JSON objects one after another; or one JSON array; or CSV, \
        whose first line names the fields (address.city is city in address). In CSV an empty cell is no field; numbers, \
        true, false, times such as 2018-08-31T17:30:00.882Z and JSON in brackets are what they look like; all else is text."
    )]
    Import(Import),
    /// Write the documents of a collection into FILE, or to standard output
    #[command(
        after_help = "By the ending of FILE: .csv is CSV, anything else JSON objects, one on each line, as WeChat's console \
        imports them. Cells of CSV hold what the fields hold, unchanged: a spreadsheet computes one that begins with =, +, - \
        or @, so import the file there with its columns as text; the command says how many there are."
    )]
    Export(Export),
    /// List the indexes of a collection; with FIELDS add one, or remove one
    #[command(after_help = "Examples:\n  yunqiao db index todos status -createTime\n  \
        yunqiao db index users phone --unique --sparse\n  yunqiao db index shops location --2dsphere\n  \
        yunqiao db index todos --remove status_1_createTime_-1")]
    Index(Index),
    /// List what clients may do with collections, and which file says so; with --set write it into yunqiao.toml
    #[command(
        after_help = "Example:\n  yunqiao db permission --set READONLY posts banners\n\n\
        READONLY: all read, the creator writes (所有用户可读，仅创建者可写); PRIVATE: the creator reads and writes (仅创建者可读写); \
        ADMINWRITE: all read, no client writes (所有用户可读); ADMINONLY: no client reads or writes (所有用户不可读写). \
        In a running `yunqiao dev` it counts at once, in `yunqiao serve` from its next start."
    )]
    Permission(PermissionOf),
}

#[derive(Debug, Arguments)]
pub(crate) struct PermissionOf {
    /// The collections [default: all that a file says something of]
    #[arg(add = ArgValueCandidates::new(complete::collections))]
    pub(crate) collections: Vec<String>,
    /// Write this level: READONLY, PRIVATE, ADMINWRITE or ADMINONLY
    #[arg(long, value_name = "LEVEL", requires = "collections", value_parser = level)]
    pub(crate) set: Option<Level>,
}

fn level(text: &str) -> Result<Level, String> {
    Level::of(text).ok_or_else(|| {
        let names = Level::NAMES.map(|(name, _)| name);
        format!("the levels are {}", names.join(", "))
    })
}

#[derive(Debug, Arguments)]
pub(crate) struct Import {
    /// The collection
    #[arg(add = ArgValueCandidates::new(complete::collections))]
    pub(crate) collection: String,
    /// The file; `-` reads standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// How documents stand in FILE, where its name and its first character do not tell: json, objects or one array of them; csv, with a
    /// line of fields first
    #[arg(long)]
    pub(crate) format: Option<ImportFormat>,
    /// A document takes the place of the one that has its _id; without this, it is refused
    #[arg(long)]
    pub(crate) upsert: bool,
    /// Names with dots in them stay names, as `yunqiao db export` writes them; without this, "a.b" is b in a, as in WeChat's import
    #[arg(long)]
    pub(crate) as_written: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ImportFormat {
    Json,
    Csv,
}

impl ImportFormat {
    pub(crate) const fn read_as(self) -> FileFormat {
        match self {
            Self::Json => FileFormat::Json,
            Self::Csv => FileFormat::Csv,
        }
    }
}

#[derive(Debug, Arguments)]
pub(crate) struct Export {
    /// The collection
    #[arg(add = ArgValueCandidates::new(complete::collections))]
    pub(crate) collection: String,
    /// The file, which is replaced if it is there; `-` or nothing writes to standard output
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// How documents stand in FILE: lines, a JSON object on each; array, one JSON array; csv
    #[arg(long)]
    pub(crate) format: Option<ExportFormat>,
    /// Only the documents that match, as a query of MongoDB's in JSON
    #[arg(long = "where", value_name = "JSON")]
    pub(crate) filter: Option<String>,
    /// The columns of CSV, such as _id,name,address.city; without it, all fields that any document has
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Name the type of each number, so that an import makes the same number of it
    #[arg(long)]
    pub(crate) canonical: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    Lines,
    Array,
    Csv,
}

impl Export {
    /// What was asked for, else what the file's name says.
    pub(crate) fn layout(&self) -> ExportFormat {
        let named = self.file.as_deref().and_then(FileFormat::of_name);
        self.format.unwrap_or(match named {
            Some(FileFormat::Csv) => ExportFormat::Csv,
            _ if !self.fields.is_empty() => ExportFormat::Csv,
            _ => ExportFormat::Lines,
        })
    }
}

/// What stands before a field that is written `-createTime`, so that it is not read as options: no argument can hold it.
const DESCENDING: char = '\0';

/// The words of the command line, with those of `db index` marked that are fields from great to small.
pub(crate) fn words() -> impl Iterator<Item = OsString> {
    mark_fields(std::env::args_os())
}

fn mark_fields(words: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let (mut of_db, mut of_index, mut before) = (false, false, OsString::new());
    words.map(move |word| {
        of_index |= of_db && word == "index";
        of_db |= word == "db";
        let is_value = matches!(before.to_str(), Some("-c" | "--config" | "--dir"));
        let field = word
            .to_str()
            .and_then(|word| word.strip_prefix('-'))
            .filter(|field| {
                // Options have two hyphens, or are one letter; `-vv` is one twice.
                of_index
                    && !is_value
                    && field.len() > 1
                    && !field.starts_with('-')
                    && !field.trim_matches('v').is_empty()
            });
        let marked = field.map(|field| OsString::from(format!("{DESCENDING}{field}")));
        before.clone_from(&word);
        marked.unwrap_or(word)
    })
}

#[expect(clippy::unnecessary_wraps, reason = "clap takes a parser that may fail")]
fn descending_field(word: &str) -> Result<String, &'static str> {
    Ok(word.replacen(DESCENDING, "-", 1))
}

#[derive(Debug, Arguments)]
pub(crate) struct Index {
    /// The collection
    #[arg(add = ArgValueCandidates::new(complete::collections))]
    pub(crate) collection: String,
    /// The fields, in their order; with `-` before one from great to small, with `:2dsphere` behind one as places on the sphere
    #[arg(value_parser = descending_field)]
    pub(crate) fields: Vec<String>,
    /// No two documents may have the same value; one without the field has null
    #[arg(long, conflicts_with = "remove")]
    pub(crate) unique: bool,
    /// Leave out documents that have none of the fields
    #[arg(long, conflicts_with = "remove")]
    pub(crate) sparse: bool,
    /// The first field is a place on the sphere
    #[arg(long = "2dsphere")]
    pub(crate) sphere: bool,
    /// Remove the index of that name, or over these fields
    #[arg(long, requires = "fields")]
    pub(crate) remove: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Init {
    /// The folder, which must be empty or not there yet; the project is called as it is
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The Mini Program's appid; without one, what WeChat DevTools writes for somebody who has none
    #[arg(long)]
    pub(crate) appid: Option<String>,
}

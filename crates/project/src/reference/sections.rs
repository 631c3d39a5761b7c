//! The sections, each with its keys. Whoever has the reader take a new key writes it down here, or it is refused.

use function::{CONCURRENCY, MAX_INSTANCES, MEMORY_MB, TIMEOUT_SECONDS};
use wording::wording;

use crate::settings::LARGEST_NUMBER;

use super::{
    Absent::{Refused, Said, Usual, Value},
    Key,
    Kind::{
        Address, AnyText, Boolean, Either, False, List, Map, Numbers, Path, Rule, Size, Table, Tables, Text,
        WebAddress, Whole, Words, WordsOfAnyCase,
    },
    Section,
};

const TIME: super::Kind = super::Kind::DURATION;
const LEVEL: super::Kind = WordsOfAnyCase(&["READONLY", "PRIVATE", "ADMINWRITE", "ADMINONLY"]);

/// What stands before all brackets.
pub(crate) const TOP: Section = Section {
    name: "",
    header: "",
    says: || {
        wording!(
            "Settings of a project for Yunqiao. All are optional for `dev` and `exec`; `serve` wants the AppSecret.",
            "项目在云桥里的设置。`dev` 和 `exec` 不需要任何设置；`serve` 需要 AppSecret。"
        )
    },
    keys: &[
        Key::new("appid", Text, || {
            wording!("The Mini Program's appid.", "小程序的 appid。")
        })
        .or(Said(|| {
            wording!(
                "that of `project.config.json`",
                "`project.config.json` 里的"
            )
        }))
        .such_as("\"wx0123456789abcdef\""),
        Key::new("secret_file", Path, || {
            wording!(
                "The file that has the AppSecret, from mp.weixin.qq.com, and nothing else; the variable `YUNQIAO_APPSECRET` goes before it. Only `serve` needs it.",
                "只存放 AppSecret 的文件（AppSecret 在 mp.weixin.qq.com 获取）；环境变量 `YUNQIAO_APPSECRET` 优先。只有 `serve` 需要。"
            )
        })
        .such_as("\"appsecret\""),
        Key::new("env", Text, || {
            wording!(
                "The id of the cloud environment, which stands in file ids, and which functions see as `TCB_ENV`. A project that comes from the hosted cloud keeps its own.",
                "云开发环境的 ID：写在文件 ID 里，云函数里是 `TCB_ENV`。从云开发搬来的项目请写原来的环境 ID。"
            )
        })
        .or(Said(|| {
            wording!(
                "`envId` of `cloudbaserc.json`, else `yunqiao`",
                "`cloudbaserc.json` 的 `envId`，没有则是 `yunqiao`"
            )
        }))
        .such_as("\"prod-1g2h3j\""),
        Key::new("functions", Either(&[Path, Table(&FUNCTIONS)]), || {
            wording!(
                "The folder of the cloud functions; or a table, which has the folder as `root`.",
                "云函数所在的目录；也可以写成表，此时目录写在 `root` 里。"
            )
        })
        .or(Said(|| {
            wording!(
                "`cloudfunctionRoot` of `project.config.json`",
                "`project.config.json` 的 `cloudfunctionRoot`"
            )
        }))
        .such_as("\"functions\""),
        Key::new("listen", Address, || {
            wording!(
                "Where `serve` listens for clients, behind your TLS proxy. `dev` takes `--host` and `--port`.",
                "`serve` 在哪里监听客户端的请求，前面放你的 TLS 代理。`dev` 用 `--host` 和 `--port`。"
            )
        })
        .or(Usual("\"127.0.0.1:8787\""))
        .such_as("\"0.0.0.0:8787\""),
        Key::new("store", Either(&[Path, Text]), || {
            wording!(
                "Where `serve` keeps sessions, keys, WeChat's access_token and pushes: a file, or a Valkey or Redis server, which several nodes may share: `redis://USER@HOST:6379`, `rediss://…` for TLS. Documents and files lie beside the file, or beside `yunqiao.toml`, where nothing else is said. The variable `YUNQIAO_REDIS_URL` goes before it.",
                "`serve` 存放会话、密钥、微信的 access_token 和推送的地方：一个文件，或一台 Valkey、Redis 服务器（多个节点可以共用）：`redis://USER@HOST:6379`，用 TLS 时写 `rediss://…`。没有另外设置时，数据库和云存储的文件放在这个文件旁边，或 `yunqiao.toml` 旁边。环境变量 `YUNQIAO_REDIS_URL` 优先。"
            )
        })
        .or(Usual("\"yunqiao.redb\""))
        .such_as("\"/var/lib/yunqiao/yunqiao.redb\""),
        Key::new("redis", Table(&REDIS), || {
            wording!("The server of `store`.", "`store` 所指的服务器。")
        }),
        Key::new("wechat", WebAddress, || {
            wording!(
                "The WeChat that `serve` asks: another one for tests against `yunqiao simulate`, or a relay of your own.",
                "`serve` 访问的微信接口地址：对着 `yunqiao simulate` 测试，或使用自己的转发服务时才需要写。"
            )
        })
        .or(Usual("\"https://api.weixin.qq.com\""))
        .such_as("\"http://127.0.0.1:8788\""),
        Key::new("login", Table(&LOGIN), || {
            wording!("How long a login lasts.", "登录的有效期。")
        }),
        Key::new("open_data", Table(&OPEN_DATA), || {
            wording!("Open data that clients send.", "客户端发来的开放数据。")
        }),
        Key::new("permissions", Table(&PERMISSIONS), || {
            wording!("Permissions of cloud calls.", "云调用的权限。")
        }),
        Key::new("cors", Table(&CORS), || {
            wording!("Web pages that may call.", "允许跨域调用的网页。")
        }),
        Key::new("operator", Table(&OPERATOR), || {
            wording!(
                "The operator's listener, with the console.",
                "运维入口，控制台也在这里。"
            )
        }),
        Key::new("auth", Table(&AUTH), || {
            wording!(
                "Users of CloudBase's own SDKs.",
                "云开发（CloudBase）自家 SDK 的用户。"
            )
        }),
        Key::new(
            "apps",
            Map {
                name: "APPID",
                of: &Table(&APP),
            },
            || wording!("Other apps of the same owner.", "同一主体的其他应用。"),
        ),
        Key::new("database", Table(&DATABASE), || {
            wording!("Documents.", "云数据库。")
        }),
        Key::new("storage", Table(&STORAGE), || wording!("Files.", "云存储。")),
        Key::new("web", Table(&WEB), || {
            wording!(
                "Functions by HTTP, and a web page.",
                "用 HTTP 访问云函数，以及静态网站。"
            )
        }),
        Key::new("push", Table(&PUSH), || wording!("Message push.", "消息推送。")),
        Key::new("timers", Table(&TIMERS), || {
            wording!("Timers of functions.", "定时触发器。")
        }),
        Key::new("keys", Table(&KEYS), || {
            wording!(
                "Keys that several servers share.",
                "几台服务器共用的密钥。"
            )
        }),
        Key::new("sim", Table(&SIM), || {
            wording!("The simulated WeChat.", "模拟的微信。")
        }),
    ],
    others: None,
    sample: r#"appid = "wx0123456789abcdef"
secret_file = "appsecret"
listen = "127.0.0.1:8787"
"#,
};

/// `[functions]`.
pub(crate) const FUNCTIONS: Section = Section {
    name: "functions",
    header: "[functions]",
    says: || {
        wording!(
            "Where the functions lie, and what holds for all of them. What WeChat's console says of each function stands in a table of its own, which goes before `cloudbaserc.json`.",
            "云函数在哪里，以及对全部云函数都有效的设置。控制台里对单个云函数的设置，写在以它命名的表里，优先于 `cloudbaserc.json`。"
        )
    },
    keys: &[
        Key::new("root", Path, || {
            wording!("The folder of the cloud functions.", "云函数所在的目录。")
        })
        .or(Said(|| {
            wording!(
                "`cloudfunctionRoot` of `project.config.json`",
                "`project.config.json` 的 `cloudfunctionRoot`"
            )
        }))
        .such_as("\"functions\""),
        Key::new("undeclared", Words(&["supply", "refuse"]), || {
            wording!(
                "What becomes of a package that a function requires and its `package.json` does not name: it is installed if it is well known, or it is missing.",
                "云函数引用了、却没有写在 `package.json` 里的包怎么办：常用的代为安装（supply），或者不安装（refuse）。"
            )
        })
        .or(Said(|| {
            wording!(
                "`\"supply\"` in `dev` and `exec`, `\"refuse\"` in `serve`",
                "`dev` 和 `exec` 是 `\"supply\"`，`serve` 是 `\"refuse\"`"
            )
        }))
        .such_as("\"refuse\""),
        Key::new("*", Table(&OTHER_FUNCTIONS), || {
            wording!(
                "All functions whose own table says nothing of it.",
                "没有单独设置的全部云函数。"
            )
        }),
    ],
    others: Some(("NAME", Table(&FUNCTION))),
    sample: r#"[functions]
root = "cloudfunctions"
undeclared = "refuse"
"#,
};

/// `[functions."*"]`.
pub(crate) const OTHER_FUNCTIONS: Section = Section {
    name: "functions.\"*\"",
    header: "[functions.\"*\"]",
    says: || {
        wording!(
            "The security rule (云函数安全规则) of functions that have none of their own.",
            "没有单独设置的云函数的安全规则。"
        )
    },
    keys: &[Key::new("invoke", Rule, || {
        wording!("Who may call them as a client.", "谁可以从客户端调用它们。")
    })
    .or(Value("\"auth != null\""))
    .such_as("\"auth != null && auth.loginType != 'ANONYMOUS'\"")],
    others: None,
    sample: r#"[functions."*"]
invoke = "auth != null && auth.loginType != 'ANONYMOUS'"
"#,
};

/// `[functions.NAME]`.
pub(crate) const FUNCTION: Section = Section {
    name: "functions.NAME",
    header: "[functions.login]",
    says: || {
        wording!(
            "One function: what WeChat's console sets for it.",
            "单个云函数：相当于控制台里的设置。"
        )
    },
    keys: &[
        Key::new(
            "timeout",
            super::Kind::Duration {
                least: *TIMEOUT_SECONDS.start(),
                most: *TIMEOUT_SECONDS.end(),
            },
            || {
                wording!(
                    "How long a call may take; waiting for a worker is not counted.",
                    "一次调用最多运行多久，不含等待实例的时间。"
                )
            },
        )
        .or(Usual("\"3s\""))
        .such_as("\"20s\""),
        Key::new(
            "memory",
            Whole {
                least: *MEMORY_MB.start(),
                most: *MEMORY_MB.end(),
            },
            || wording!("Memory of a worker, in MB.", "一个实例的内存，单位 MB。"),
        )
        .or(Usual("256"))
        .such_as("512"),
        Key::new(
            "concurrency",
            Whole {
                least: *CONCURRENCY.start(),
                most: *CONCURRENCY.end(),
            },
            || {
                wording!(
                    "How many calls a worker runs at once. On the platform it is one, and functions may rely on that.",
                    "一个实例同时运行几次调用。平台上是一次，云函数可能依赖这一点。"
                )
            },
        )
        .or(Usual("1"))
        .such_as("10"),
        Key::new(
            "max_instances",
            Whole {
                least: *MAX_INSTANCES.start(),
                most: *MAX_INSTANCES.end(),
            },
            || {
                wording!(
                    "How many workers there may be; further calls wait.",
                    "最多有几个实例，更多的调用会等待。"
                )
            },
        )
        .or(Usual("10"))
        .such_as("2"),
        Key::new(
            "env",
            Map {
                name: "VARIABLE",
                of: &AnyText,
            },
            || {
                wording!(
                    "Environment variables, as the console has them.",
                    "环境变量，与控制台里的相同。"
                )
            },
        )
        .such_as("{ GREETING = \"你好\" }"),
        Key::new("invoke", Rule, || {
            wording!(
                "The security rule (云函数安全规则): who may call it as a client.",
                "安全规则：谁可以从客户端调用它。"
            )
        })
        .or(Said(|| {
            wording!(
                "`aclRule` of `cloudbaserc.json`, else that of `[functions.\"*\"]`",
                "`cloudbaserc.json` 的 `aclRule`，没有则是 `[functions.\"*\"]` 的"
            )
        }))
        .such_as("false"),
    ],
    others: None,
    sample: r#"[functions.login]
timeout = "10s"
memory = 256
env = { GREETING = "你好" }
"#,
};

/// `[login]`.
pub(crate) const LOGIN: Section = Section {
    name: "login",
    header: "[login]",
    says: || {
        wording!(
            "How long the token of `/v1/login` holds.",
            "`/v1/login` 给出的 token 的有效期。"
        )
    },
    keys: &[Key::new("ttl", Either(&[TIME, Words(&["session"])]), || {
        wording!(
            "A time; or `\"session\"`, as long as WeChat says that the session_key holds.",
            "时长；或 `\"session\"`，即微信认为 session_key 有效的期间。"
        )
    })
    .or(Value("\"2h\""))
    .such_as("\"12h\"")],
    others: None,
    sample: "[login]\nttl = \"12h\"\n",
};

/// `[open_data]`.
pub(crate) const OPEN_DATA: Section = Section {
    name: "open_data",
    header: "[open_data]",
    says: || {
        wording!(
            "Open data that clients send as `encryptedData` and `iv`.",
            "客户端以 `encryptedData` 和 `iv` 发来的开放数据。"
        )
    },
    keys: &[Key::new("max_age", TIME, || {
        wording!("How old its watermark may be.", "水印里的时间最多可以早多久。")
    })
    .or(Value("\"5m\""))
    .such_as("\"10m\"")],
    others: None,
    sample: "[open_data]\nmax_age = \"10m\"\n",
};

/// `[permissions]`.
pub(crate) const PERMISSIONS: Section = Section {
    name: "permissions",
    header: "[permissions]",
    says: || {
        wording!(
            "What functions may call by `cloud.openapi`: `permissions.openapi` of their `config.json`.",
            "云函数能用 `cloud.openapi` 调用什么：由各自 `config.json` 的 `permissions.openapi` 决定。"
        )
    },
    keys: &[Key::new("cache", TIME, || {
        wording!(
            "How long a `config.json` counts as it was read, whatever it says by then; on the platform `\"10m\"`.",
            "`config.json` 读取之后多久才重新读取；平台上是 `\"10m\"`。"
        )
    })
    .or(Said(|| {
        wording!("it is read at each call", "每次调用都读取")
    }))
    .such_as("\"10m\"")],
    others: None,
    sample: "[permissions]\ncache = \"10m\"\n",
};

/// `[cors]`.
pub(crate) const CORS: Section = Section {
    name: "cors",
    header: "[cors]",
    says: || {
        wording!(
            "Which web pages may call the gateway and functions by HTTP from a browser.",
            "哪些网页可以在浏览器里跨域调用。"
        )
    },
    keys: &[Key::new("origins", List(&WebAddress), || {
        wording!(
            "Their origins: scheme, host and port. In `dev`, pages on this machine may call without.",
            "它们的来源：协议、域名和端口。在 `dev` 里，本机的网页不写也可以调用。"
        )
    })
    .or(Value("[]"))
    .such_as("[\"https://app.example.com\"]")],
    others: None,
    sample: "[cors]\norigins = [\"https://app.example.com\"]\n",
};

/// `[operator]`.
pub(crate) const OPERATOR: Section = Section {
    name: "operator",
    header: "[operator]",
    says: || {
        wording!(
            "The listener for you and your other servers: the console, WeChat's API without a token, access_token for all. `serve` opens it where it has a secret; keep it off the internet.",
            "给你自己和你的其他服务器的入口：控制台、免 token 的微信接口、共用的 access_token。有密钥时 `serve` 才打开它；不要暴露在公网上。"
        )
    },
    keys: &[
        Key::new("listen", Address, || {
            wording!("Where it listens.", "在哪里监听。")
        })
        .or(Usual("\"127.0.0.1:8789\""))
        .such_as("\"10.0.0.5:8789\""),
        Key::new("hosts", List(&Text), || {
            wording!(
                "Further names by which it is reached, as they stand in a `Host` header; any other is refused.",
                "还可以用哪些名字访问它（即 `Host` 请求头），其他的一律拒绝。"
            )
        })
        .or(Value("[]"))
        .such_as("[\"ops.example.com:8789\"]"),
        Key::new("secret_file", Path, || {
            wording!(
                "The file that has the secret, of at least 16 characters; the variable `YUNQIAO_OPERATOR_SECRET` goes before it.",
                "存放密钥的文件，密钥至少 16 个字符；环境变量 `YUNQIAO_OPERATOR_SECRET` 优先。"
            )
        })
        .such_as("\"operator.secret\"")
        .excludes(&["secret"]),
        Key::new("secret", Text, || {
            wording!(
                "The secret itself; a file of its own is better kept apart from others' eyes.",
                "密钥本身；放在单独的文件里更安全。"
            )
        })
        .such_as("\"0123456789abcdef0123456789abcdef\""),
        Key::new(
            "keys",
            Map {
                name: "ID",
                of: &Path,
            },
            || {
                wording!(
                    "For `@cloudbase/node-sdk` in other servers of yours: the file that has the secretKey of each secretId.",
                    "给其他服务器上的 `@cloudbase/node-sdk`：每个 secretId 对应一个存放 secretKey 的文件。"
                )
            },
        )
        .such_as("{ backend = \"backend.secret\" }"),
    ],
    others: None,
    sample: r#"[operator]
listen = "127.0.0.1:8789"
secret_file = "operator.secret"
"#,
};

/// `[auth]`.
pub(crate) const AUTH: Section = Section {
    name: "auth",
    header: "[auth]",
    says: || {
        wording!(
            "Who may log in by CloudBase's own SDKs, on web pages and elsewhere, besides the users of the Mini Program.",
            "除了小程序用户，谁可以通过云开发（CloudBase）自家的 SDK 登录，例如网页。"
        )
    },
    keys: &[
        Key::new("anonymous", Boolean, || {
            wording!(
                "Whether anybody may log in as nobody in particular, one user for each device.",
                "是否允许匿名登录，每台设备一个用户。"
            )
        })
        .or(Said(|| {
            wording!(
                "`true` in `dev` and `exec`, `false` in `serve`",
                "`dev` 和 `exec` 是 `true`，`serve` 是 `false`"
            )
        }))
        .such_as("true"),
        Key::new("ticket_keys", Path, || {
            wording!(
                "Custom login: a JSON file, `{{\"<private_key_id>\": \"<public key in PEM>\"}}`.",
                "自定义登录：JSON 文件，`{{\"<private_key_id>\": \"<public key in PEM>\"}}`。"
            )
        })
        .such_as("\"tickets.json\""),
        Key::new("passwords", Path, || {
            wording!(
                "Names and passwords: a TOML file that `yunqiao user add` writes.",
                "用户名密码登录：由 `yunqiao user add` 维护的 TOML 文件。"
            )
        })
        .such_as("\"users.toml\""),
    ],
    others: None,
    sample: r#"[auth]
anonymous = true
passwords = "users.toml"
"#,
};

/// `[apps.APPID]`.
pub(crate) const APP: Section = Section {
    name: "apps.APPID",
    header: "[apps.wxfedcba9876543210]",
    says: || {
        wording!(
            "Another app of the same owner: for `cloud.openapi({{ appid }})`, and an Official Account whose pages log in by the authorize page (网页授权).",
            "同一主体的另一个应用：用于 `cloud.openapi({{ appid }})`，以及公众号网页授权登录。"
        )
    },
    keys: &[Key::new("secret_file", Path, || {
        wording!("The file that has its AppSecret.", "存放它的 AppSecret 的文件。")
    })
    .or(Refused)
    .such_as("\"other.secret\"")],
    others: None,
    sample: "[apps.wxfedcba9876543210]\nsecret_file = \"other.secret\"\n",
};

/// `[redis]`.
pub(crate) const REDIS: Section = Section {
    name: "redis",
    header: "[redis]",
    says: || {
        wording!(
            "The Valkey or Redis server that `store` names: one, several behind Sentinels, or a Cluster.",
            "`store` 所指的 Valkey 或 Redis 服务器：单台、由 Sentinel 管理的多台，或 Cluster。"
        )
    },
    keys: &[
        Key::new("password_file", Path, || {
            wording!(
                "A file that has the password and nothing else; the user, if there is one, stands in the URL.",
                "只存放密码的文件；有用户名时写在 URL 里。"
            )
        })
        .such_as("\"redis.password\""),
        Key::new("sentinels", List(&Text), || {
            wording!(
                "Sentinels, `HOST:PORT` each, which are asked where the master is. The host in the URL is the master's name then.",
                "Sentinel 的地址，每个写成 `HOST:PORT`，用来询问主服务器的位置。此时 URL 里的主机名是主服务器的名字。"
            )
        })
        .such_as("[\"10.0.0.1:26379\", \"10.0.0.2:26379\"]"),
        Key::new("sentinel_password_file", Path, || {
            wording!(
                "A file that has the Sentinels' password, where they want one.",
                "存放 Sentinel 密码的文件，Sentinel 需要密码时才写。"
            )
        })
        .such_as("\"sentinel.password\""),
        Key::new("cluster", List(&Text), || {
            wording!(
                "Further nodes of a Cluster, `HOST:PORT` each, beside the one in the URL. One that is up is enough to find the others.",
                "Cluster 的其他节点，每个写成 `HOST:PORT`，URL 里写的是其中一个。只要有一个能连上，就能找到其余的。"
            )
        })
        .such_as("[\"10.0.0.2:6379\", \"10.0.0.3:6379\"]")
        .excludes(&["sentinels"]),
        Key::new("ca_file", Path, || {
            wording!(
                "Certificates in PEM of those who vouch for the server, for `rediss://`; without it, those that the machine trusts.",
                "用于 `rediss://`：为服务器签名的 CA 证书（PEM）；不写则用本机信任的证书。"
            )
        })
        .such_as("\"redis-ca.pem\""),
        Key::new("prefix", Text, || {
            wording!(
                "What the names of all keys begin with. Projects that share a server have one each.",
                "所有键名的开头。多个项目共用一台服务器时，各用各的。"
            )
        })
        .or(Usual("\"yunqiao\""))
        .such_as("\"shop\""),
        Key::new("may_lose_pushes", Boolean, || {
            wording!(
                "Take WeChat's pushes in, and tell it so, though the server keeps nothing over its own end.",
                "服务器重启后什么都不保留时，仍然接收并应答微信的推送。"
            )
        })
        .or(Value("false"))
        .such_as("true"),
    ],
    others: None,
    sample: r#"store = "rediss://yunqiao@redis.internal:6379"

[redis]
password_file = "redis.password"
ca_file = "redis-ca.pem"
"#,
};

/// `[database]`.
pub(crate) const DATABASE: Section = Section {
    name: "database",
    header: "[database]",
    says: || {
        wording!(
            "Where documents are kept: in a file, or on a MongoDB server. `exec` keeps them in memory.",
            "记录存在哪里：一个文件，或 MongoDB 服务器。`exec` 只放在内存里。"
        )
    },
    keys: &[
        Key::new("path", Path, || wording!("The file.", "文件。"))
            .or(Said(|| {
                wording!(
                    "`.yunqiao/database.redb` in `dev`, `database.redb` beside the store in `serve`",
                    "`dev` 是 `.yunqiao/database.redb`，`serve` 是 store 旁边的 `database.redb`"
                )
            }))
            .such_as("\"data/database.redb\""),
        Key::new("url", Text, || {
            wording!(
                "The URL of a MongoDB server in place of the file; the variable `YUNQIAO_MONGODB_URL` goes before it.",
                "MongoDB 服务器的 URL，代替文件；环境变量 `YUNQIAO_MONGODB_URL` 优先。"
            )
        })
        .such_as("\"mongodb://db.internal:27017/app\"")
        .excludes(&["path"]),
        Key::new("url_file", Path, || {
            wording!(
                "A file that has this URL and nothing else, for a URL with a password.",
                "只存放这个 URL 的文件，适合带密码的 URL。"
            )
        })
        .such_as("\"mongodb.url\"")
        .excludes(&["path", "url"]),
        Key::new("missing", Words(&["create", "refuse"]), || {
            wording!(
                "What a function gets that names a collection which is not there: it is made, or the platform's -502005.",
                "云函数用到不存在的集合时怎么办：自动创建（create），或像平台一样报 -502005（refuse）。"
            )
        })
        .or(Said(|| {
            wording!(
                "`\"create\"` in `dev` and `exec`, with a note; `\"refuse\"` in `serve`",
                "`dev` 和 `exec` 是 `\"create\"`，并给出提示；`serve` 是 `\"refuse\"`"
            )
        }))
        .such_as("\"refuse\""),
        Key::new("seed", Path, || {
            wording!(
                "A folder: the documents of `NAME.json` (JSON Lines or an array) or `NAME.csv` in it fill the collection `NAME` at the start, where that is empty.",
                "目录：启动时用其中的 `NAME.json`（JSON Lines 或数组）或 `NAME.csv` 填充空的集合 `NAME`。"
            )
        })
        .such_as("\"seed\""),
        Key::new("wire", Address, || {
            wording!(
                "Where `mongosh`, Compass and MongoDB's drivers reach the documents. Another address than this machine's wants `wire_password_file`.",
                "`mongosh`、Compass 和 MongoDB 的各种驱动从哪里访问数据。不是本机地址时必须写 `wire_password_file`。"
            )
        })
        .such_as("\"127.0.0.1:27017\""),
        Key::new("wire_password_file", Path, || {
            wording!(
                "The file that has the password of their user, `yunqiao`, of at least 16 characters.",
                "存放连接密码的文件，用户名是 `yunqiao`，密码至少 16 个字符。"
            )
        })
        .such_as("\"wire.password\""),
        Key::new("watch_memory", Size, || {
            wording!(
                "What all that clients watch may take in memory, at least `\"8MB\"`.",
                "客户端实时监听一共能用多少内存，至少 `\"8MB\"`。"
            )
        })
        .or(Value("\"128MB\""))
        .such_as("\"512MB\""),
        Key::new("default_permission", LEVEL, || {
            wording!(
                "What clients may do with collections that say nothing of it.",
                "没有单独设置权限的集合，客户端能做什么。"
            )
        })
        .or(Value("\"PRIVATE\""))
        .such_as("\"ADMINONLY\""),
        Key::new(
            "collections",
            Map {
                name: "NAME",
                of: &Table(&COLLECTION),
            },
            || {
                wording!(
                    "The collections, each made at the start.",
                    "集合，启动时创建。"
                )
            },
        ),
    ],
    others: None,
    sample: r#"[database]
seed = "seed"
wire = "127.0.0.1:27017"
"#,
};

/// `[database.collections.NAME]`.
pub(crate) const COLLECTION: Section = Section {
    name: "database.collections.NAME",
    header: "[database.collections.todos]",
    says: || {
        wording!(
            "One collection, which is made at the start: its indexes, and its permission.",
            "一个集合，启动时创建：它的索引和权限。"
        )
    },
    keys: &[
        Key::new("indexes", List(&Either(&[List(&Text), Table(&INDEX)])), || {
            wording!(
                "A list of fields for each index, `-` before one that is from great to small, `:2dsphere` behind one that is a place; or a table, where the index is more than that.",
                "每个索引写一个字段列表，降序的字段前加 `-`，地理位置的字段后加 `:2dsphere`；需要更多设置时写成表。"
            )
        })
        .or(Value("[]"))
        .such_as("[[\"status\", \"-createTime\"], { fields = [\"phone\"], unique = true }]"),
        Key::new("permission", LEVEL, || {
            wording!(
                "What clients may do, by one of the four levels of WeChat's console.",
                "客户端能做什么：控制台里的四种权限之一。"
            )
        })
        .or(Said(|| {
            wording!(
                "what `database.rules.json` or `cloudbaserc.json` says, else `default_permission`",
                "`database.rules.json` 或 `cloudbaserc.json` 里的，没有则是 `default_permission`"
            )
        }))
        .such_as("\"READONLY\""),
        Key::new("rule", Table(&DOCUMENT_RULE), || {
            wording!(
                "What clients may do, by rules (安全规则).",
                "客户端能做什么：安全规则。"
            )
        })
        .such_as("{ read = true, write = \"doc._openid == auth.openid\" }")
        .excludes(&["permission"]),
    ],
    others: None,
    sample: r#"[database.collections.todos]
indexes = [["status", "-createTime"], { fields = ["phone"], unique = true }]
permission = "PRIVATE"
"#,
};

/// An index that is more than a list of fields.
pub(crate) const INDEX: Section = Section {
    name: "database.collections.NAME.indexes",
    header: "[[database.collections.todos.indexes]]",
    says: || {
        wording!(
            "An index, where it is more than a list of fields.",
            "一个索引，不只是字段列表时这样写。"
        )
    },
    keys: &[
        Key::new("fields", List(&Text), || {
            wording!(
                "The fields, in their order; `-` stands before one that is from great to small, `:2dsphere` behind one that is a place.",
                "字段，按顺序；降序的字段前加 `-`，地理位置的字段后加 `:2dsphere`。"
            )
        })
        .or(Refused)
        .such_as("[\"phone\"]"),
        Key::new("unique", Boolean, || {
            wording!(
                "No two documents may have the same value. One without the field has null.",
                "唯一索引：不允许两条记录的值相同。没有该字段的记录，值算作 null。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("fields = [\"phone\"]"),
        Key::new("sparse", Boolean, || {
            wording!(
                "Documents that have none of the fields are not in it.",
                "没有这些字段的记录不进入索引。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("fields = [\"phone\"]"),
        Key::new("kind", Words(&["2dsphere"]), || {
            wording!(
                "The first field is a place on the sphere (地理位置索引).",
                "地理位置索引：第一个字段是地理位置。"
            )
        })
        .such_as("\"2dsphere\"")
        .beside("fields = [\"location\"]"),
    ],
    others: None,
    sample: "",
};

/// `rule` of a collection.
pub(crate) const DOCUMENT_RULE: Section = Section {
    name: "database.collections.NAME.rule",
    header: "[database.collections.todos.rule]",
    says: || {
        wording!(
            "Rules (安全规则) of a collection: each `true`, `false` or an expression over `auth`, `doc`, `request`, `now` and `get()`.",
            "集合的安全规则：每一项是 `true`、`false`，或由 `auth`、`doc`、`request`、`now` 和 `get()` 组成的表达式。"
        )
    },
    keys: &[
        Key::new("read", Rule, || wording!("Read.", "读。"))
            .or(Value("false"))
            .such_as("\"doc.published == true || doc._openid == auth.openid\""),
        Key::new("write", Rule, || {
            wording!("Add, change and remove.", "写：新增、修改和删除。")
        })
        .or(Said(|| wording!("`false`, nobody may", "`false`，即都不允许")))
        .such_as("\"doc._openid == auth.openid\""),
        Key::new("create", Rule, || wording!("Add.", "新增。"))
            .or(Said(|| wording!("as `write`", "与 `write` 相同")))
            .such_as("\"auth != null\""),
        Key::new("update", Rule, || wording!("Change.", "修改。"))
            .or(Said(|| wording!("as `write`", "与 `write` 相同")))
            .such_as("\"doc._openid == auth.openid\""),
        Key::new("delete", Rule, || wording!("Remove.", "删除。"))
            .or(Said(|| wording!("as `write`", "与 `write` 相同")))
            .such_as("\"doc._openid == auth.openid\""),
    ],
    others: None,
    sample: r#"[database.collections.todos.rule]
read = "doc.published == true || doc._openid == auth.openid"
write = "doc._openid == auth.openid"
"#,
};

/// `[storage]`.
pub(crate) const STORAGE: Section = Section {
    name: "storage",
    header: "[storage]",
    says: || {
        wording!(
            "Where files are kept, who may read them, and how their addresses look.",
            "文件存在哪里、谁能读、地址是什么样子。"
        )
    },
    keys: &[
        Key::new("folder", Path, || {
            wording!("The folder in which they lie.", "存放文件的目录。")
        })
        .or(Said(|| {
            wording!(
                "`.yunqiao/files` in `dev`, `files` beside the store in `serve`",
                "`dev` 是 `.yunqiao/files`，`serve` 是 store 旁边的 `files`"
            )
        }))
        .such_as("\"files\""),
        Key::new("s3", Table(&S3), || {
            wording!(
                "The bucket in which they lie instead.",
                "改为存放在对象存储桶里。"
            )
        })
        .such_as(
            "{ endpoint = \"https://cos.ap-guangzhou.myqcloud.com\", bucket = \"album-1250000000\", region = \"ap-guangzhou\", \
             access_key_file = \"s3.id\", secret_key_file = \"s3.key\" }",
        )
        .excludes(&["folder"]),
        Key::new("permission", LEVEL, || {
            wording!(
                "What clients may do with files, by one of the four levels of WeChat's console. Functions may do everything.",
                "客户端对文件能做什么：控制台里的四种权限之一。云函数不受限制。"
            )
        })
        .or(Value("\"READONLY\""))
        .such_as("\"PRIVATE\""),
        Key::new("rule", Table(&FILE_RULE), || {
            wording!(
                "What clients may do with files, by rules (安全规则).",
                "客户端对文件能做什么：安全规则。"
            )
        })
        .such_as("{ read = \"auth != null\", write = \"resource.openid == auth.openid\" }")
        .excludes(&["permission"]),
        Key::new("max_size", Size, || {
            wording!(
                "The largest file that functions and clients upload.",
                "云函数和客户端上传的单个文件最大多少。"
            )
        })
        .or(Value("\"100MB\""))
        .such_as("\"20MB\""),
        Key::new("quota", Size, || {
            wording!(
                "What all files may take together, each with 4,096 bytes beside its content; an upload beyond it is refused.",
                "全部文件一共最多多少，每个文件除内容外另计 4,096 字节；超出的上传会被拒绝。"
            )
        })
        .or(Said(|| wording!("no bound", "不限")))
        .such_as("\"10GB\""),
        Key::new("url_life", TIME, || {
            wording!(
                "How long an address of a file is good for where nobody says `maxAge`.",
                "没有指定 `maxAge` 时，文件链接的有效期。"
            )
        })
        .or(Value("\"24h\""))
        .such_as("\"2h\""),
        Key::new("public_url", Either(&[WebAddress, Words(&["s3"])]), || {
            wording!(
                "How phones and browsers reach the gateway, with which addresses of files begin; or `\"s3\"`, for signed addresses of the bucket itself.",
                "手机和浏览器从哪里访问网关，文件链接以它开头；或 `\"s3\"`，即存储桶自己的签名链接。"
            )
        })
        .or(Said(|| {
            wording!(
                "the address on which the gateway listens",
                "网关监听的地址"
            )
        }))
        .such_as("\"https://cloud.example.com\""),
        Key::new("aliases", List(&Text), || {
            wording!(
                "Environments whose file ids are taken for this one's, for data that was moved here.",
                "哪些环境的文件 ID 视同本环境的，用于搬过来的数据。"
            )
        })
        .or(Said(|| {
            wording!(
                "any in `dev` and `exec`, none in `serve`",
                "`dev` 和 `exec` 全部接受，`serve` 一个也不接受"
            )
        }))
        .such_as("[\"prod-1g2h3j\"]"),
    ],
    others: None,
    sample: r#"[storage]
permission = "PRIVATE"
max_size = "20MB"
public_url = "https://cloud.example.com"
"#,
};

/// `[storage.s3]`.
pub(crate) const S3: Section = Section {
    name: "storage.s3",
    header: "[storage.s3]",
    says: || {
        wording!(
            "A bucket of an object store that speaks S3: Tencent's COS, Alibaba's OSS, MinIO, Amazon's.",
            "兼容 S3 的对象存储桶：腾讯云 COS、阿里云 OSS、MinIO、Amazon S3。"
        )
    },
    keys: &[
        Key::new("endpoint", WebAddress, || wording!("The server.", "服务器。"))
            .or(Refused)
            .such_as("\"https://cos.ap-guangzhou.myqcloud.com\"")
            .beside(
                "bucket = \"album-1250000000\"\naccess_key_file = \"s3.id\"\nsecret_key_file = \"s3.key\"",
            ),
        Key::new("bucket", Text, || {
            wording!("The bucket, which is there already.", "已有的存储桶。")
        })
        .or(Refused)
        .such_as("\"album-1250000000\"")
        .beside(
            "endpoint = \"https://cos.ap-guangzhou.myqcloud.com\"\naccess_key_file = \"s3.id\"\nsecret_key_file = \"s3.key\"",
        ),
        Key::new("region", Text, || {
            wording!(
                "Its region; servers without regions take the usual one.",
                "地域；没有地域的服务器用默认值。"
            )
        })
        .or(Value("\"us-east-1\""))
        .such_as("\"ap-guangzhou\"")
        .beside(
            "endpoint = \"https://cos.ap-guangzhou.myqcloud.com\"\nbucket = \"album-1250000000\"\naccess_key_file = \"s3.id\"\nsecret_key_file = \"s3.key\"",
        ),
        Key::new("access_key_file", Path, || {
            wording!(
                "The file that has the access key; the variable `YUNQIAO_S3_ACCESS_KEY` goes before it.",
                "存放 access key（SecretId）的文件；环境变量 `YUNQIAO_S3_ACCESS_KEY` 优先。"
            )
        })
        .or(Said(|| {
            wording!(
                "the variable, which has to be set then",
                "此时必须设置环境变量"
            )
        }))
        .such_as("\"s3.id\"")
        .beside(
            "endpoint = \"https://cos.ap-guangzhou.myqcloud.com\"\nbucket = \"album-1250000000\"\nsecret_key_file = \"s3.key\"",
        ),
        Key::new("secret_key_file", Path, || {
            wording!(
                "The file that has the secret key; the variable `YUNQIAO_S3_SECRET_KEY` goes before it.",
                "存放 secret key（SecretKey）的文件；环境变量 `YUNQIAO_S3_SECRET_KEY` 优先。"
            )
        })
        .or(Said(|| {
            wording!(
                "the variable, which has to be set then",
                "此时必须设置环境变量"
            )
        }))
        .such_as("\"s3.key\"")
        .beside(
            "endpoint = \"https://cos.ap-guangzhou.myqcloud.com\"\nbucket = \"album-1250000000\"\naccess_key_file = \"s3.id\"",
        ),
    ],
    others: None,
    sample: r#"[storage]
s3 = { endpoint = "https://cos.ap-guangzhou.myqcloud.com", bucket = "album-1250000000", region = "ap-guangzhou", access_key_file = "s3.id", secret_key_file = "s3.key" }
"#,
};

/// `rule` of storage.
pub(crate) const FILE_RULE: Section = Section {
    name: "storage.rule",
    header: "[storage.rule]",
    says: || {
        wording!(
            "Rules (安全规则) of files: each `true`, `false` or an expression over `auth` and `resource`.",
            "云存储的安全规则：每一项是 `true`、`false`，或由 `auth` 和 `resource` 组成的表达式。"
        )
    },
    keys: &[
        Key::new("read", Rule, || wording!("Download.", "下载。"))
            .or(Value("false"))
            .such_as("\"/^public/.test(resource.path) == true\""),
        Key::new("write", Rule, || {
            wording!("Upload, replace and remove.", "上传、覆盖和删除。")
        })
        .or(Value("false"))
        .such_as("\"resource.openid == auth.openid\""),
    ],
    others: None,
    sample: r#"[storage.rule]
read = "auth != null"
write = "resource.openid == auth.openid"
"#,
};

/// `[web]`.
pub(crate) const WEB: Section = Section {
    name: "web",
    header: "[web]",
    says: || {
        wording!(
            "Functions by plain HTTP (云接入), and built pages beside them, at a port of their own. Where this says nothing, what `cloudbaserc.json` says of both holds.",
            "用普通 HTTP 访问云函数（云接入），以及旁边的静态网站，使用单独的端口。这里没有写时，以 `cloudbaserc.json` 为准。"
        )
    },
    keys: &[
        Key::new("listen", Address, || {
            wording!(
                "Where `serve` listens for them. `dev` takes `--web-port`.",
                "`serve` 在哪里监听。`dev` 用 `--web-port`。"
            )
        })
        .or(Usual("\"127.0.0.1:8786\""))
        .such_as("\"0.0.0.0:8786\""),
        Key::new("functions", Tables(&WEB_FUNCTION), || {
            wording!(
                "Which path leads to which function.",
                "哪个路径对应哪个云函数。"
            )
        }),
        Key::new("site", Path, || {
            wording!("The folder of the built page.", "构建后的网站目录。")
        })
        .such_as("\"dist\""),
        Key::new("index", Text, || {
            wording!(
                "The document that a folder shows.",
                "目录的首页文件名。"
            )
        })
        .or(Value("\"index.html\""))
        .such_as("\"home.html\"")
        .beside("site = \"dist\""),
        Key::new("error", Text, || {
            wording!(
                "The document for a path at which there is nothing; it is sent with 404.",
                "路径不存在时显示的页面，状态码是 404。"
            )
        })
        .such_as("\"404.html\"")
        .beside("site = \"dist\""),
        Key::new("spa", Boolean, || {
            wording!(
                "Whether the page knows its own paths: those at which there is nothing show the index, with 200.",
                "是否单页应用：不存在的路径显示首页，状态码是 200。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("site = \"dist\""),
        Key::new("sites", Tables(&WEB_SITE), || {
            wording!(
                "More built pages, each below a path of its own.",
                "更多的网站，各自放在一个路径下。"
            )
        }),
        Key::new("redirects", Tables(&REDIRECT), || {
            wording!(
                "Paths that lead elsewhere.",
                "重定向。"
            )
        }),
        Key::new("cache", Tables(&CACHE), || {
            wording!(
                "How long browsers keep files without asking again.",
                "浏览器缓存文件多久，期间不再询问。"
            )
        }),
        Key::new("log", Boolean, || {
            wording!(
                "Whether `serve` prints a line for each request, as `dev` does; otherwise only for failures.",
                "`serve` 是否像 `dev` 那样为每个请求打印一行；否则只打印失败的。"
            )
        })
        .or(Value("false"))
        .such_as("true"),
        Key::new("proxies", List(&Text), || {
            wording!(
                "Addresses or networks of proxies whose `x-forwarded-for` and `x-forwarded-proto` count, at the gateway as well. Behind a proxy that is not named here all clients have one address.",
                "可信代理的地址或网段：只采信它们写的 `x-forwarded-for` 和 `x-forwarded-proto`，网关也一样。放在代理后面而没有写，所有客户端就共用一个地址。"
            )
        })
        .or(Value("[]"))
        .such_as("[\"10.0.0.0/8\"]"),
    ],
    others: None,
    sample: r#"[web]
site = "dist"
spa = true
"#,
};

/// `[[web.functions]]`.
pub(crate) const WEB_FUNCTION: Section = Section {
    name: "web.functions",
    header: "[[web.functions]]",
    says: || {
        wording!(
            "A path that leads to a function, and so does what is below it; the longest wins.",
            "一条触发路径，其下的路径也由该云函数处理；最长的前缀优先。"
        )
    },
    keys: &[
        Key::new("path", Text, || wording!("The path.", "路径。"))
            .or(Refused)
            .such_as("\"/api\"")
            .beside("function = \"api\""),
        Key::new("function", Text, || wording!("The function.", "云函数。"))
            .or(Refused)
            .such_as("\"api\"")
            .beside("path = \"/api\""),
        Key::new("auth", Boolean, || {
            wording!(
                "Whether a login is wanted (身份认证): `Authorization: Bearer` with a token of `/v1/login` or `/auth/v1`.",
                "是否开启身份认证：要求 `Authorization: Bearer`，即 `/v1/login` 或 `/auth/v1` 给的 token。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("path = \"/api\"\nfunction = \"api\""),
        Key::new("passthrough", Boolean, || {
            wording!(
                "Whether the function sees the whole path (路径透传), or only what follows this one.",
                "是否路径透传：云函数看到完整路径，还是只看到这条路径之后的部分。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("path = \"/api\"\nfunction = \"api\""),
    ],
    others: None,
    sample: r#"[[web.functions]]
path = "/api"
function = "api"
auth = true
"#,
};

/// `[[web.sites]]`.
pub(crate) const WEB_SITE: Section = Section {
    name: "web.sites",
    header: "[[web.sites]]",
    says: || {
        wording!(
            "A built page below a path, beside `site` or without it. Of the pages and functions to whose paths a request leads the longest wins, and of two with one path the function. The page is built for that path (`base` of Vite, `publicPath` of Vue CLI and webpack).",
            "放在某个路径下的网站，可以与 `site` 并存，也可以单独使用。请求同时匹配多个网站和云函数的路径时，最长的优先；路径相同时云函数优先。构建时要写明这个路径（Vite 的 `base`，Vue CLI 和 webpack 的 `publicPath`）。"
        )
    },
    keys: &[
        Key::new("path", Text, || {
            wording!(
                "The path. Without the slash at its end it leads to the one with it.",
                "路径。末尾没有斜杠的请求会跳转到有斜杠的地址。"
            )
        })
        .or(Refused)
        .such_as("\"/admin\"")
        .beside("site = \"admin/dist\""),
        Key::new("site", Path, || {
            wording!("The folder of the built page.", "构建后的网站目录。")
        })
        .or(Refused)
        .such_as("\"admin/dist\"")
        .beside("path = \"/admin\""),
        Key::new("index", Text, || {
            wording!(
                "The document that a folder shows.",
                "目录的首页文件名。"
            )
        })
        .or(Value("\"index.html\""))
        .such_as("\"home.html\"")
        .beside("path = \"/admin\"\nsite = \"admin/dist\""),
        Key::new("error", Text, || {
            wording!(
                "The document of its folder for a path below this one at which there is nothing; it is sent with 404.",
                "此路径下的地址不存在时显示的页面（在网站目录里），状态码是 404。"
            )
        })
        .such_as("\"404.html\"")
        .beside("path = \"/admin\"\nsite = \"admin/dist\""),
        Key::new("spa", Boolean, || {
            wording!(
                "Whether the page knows its own paths: those below this one at which there is nothing show its index, with 200.",
                "是否单页应用：此路径下不存在的地址显示它的首页，状态码是 200。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("path = \"/admin\"\nsite = \"admin/dist\""),
    ],
    others: None,
    sample: r#"[web]
site = "dist"

[[web.sites]]
path = "/admin"
site = "admin/dist"
spa = true
"#,
};

/// `[[web.redirects]]`.
pub(crate) const REDIRECT: Section = Section {
    name: "web.redirects",
    header: "[[web.redirects]]",
    says: || {
        wording!(
            "A path of the site that leads elsewhere, as a browser sends it: that of a page in `[[web.sites]]` included. Each wants `to`, and either `from` or `missing = true`.",
            "网站的一条重定向。路径是浏览器发来的完整路径，包括 `[[web.sites]]` 里的路径。每条要有 `to`，以及 `from` 或 `missing = true` 之一。"
        )
    },
    keys: &[
        Key::new("from", Text, || {
            wording!(
                "The path; `*` at its end stands for anything, and in `to` for the same.",
                "路径；末尾的 `*` 代表任意内容，`to` 里的也是同样的内容。"
            )
        })
        .such_as("\"/old/*\"")
        .beside("to = \"/new/*\""),
        Key::new("missing", Boolean, || {
            wording!(
                "Any path at which there is nothing, in place of `from`.",
                "代替 `from`：任何不存在的路径。"
            )
        })
        .or(Value("false"))
        .such_as("true")
        .beside("to = \"/new/*\""),
        Key::new("to", Text, || {
            wording!("A path of the site, or a web address. The query of the request goes along, unless this has one of its own.", "网站里的路径，或网址。自己没有查询字符串时，带上请求的查询字符串。")
        })
        .or(Refused)
        .such_as("\"/new/*\"")
        .beside("from = \"/old/*\""),
        Key::new("status", Numbers(&[301, 302, 307, 308]), || {
            wording!("The status.", "状态码。")
        })
        .or(Value("302"))
        .such_as("301")
        .beside("from = \"/old/*\"\nto = \"/new/*\""),
    ],
    others: None,
    sample: r#"[web]
site = "dist"

[[web.redirects]]
from = "/old/*"
to = "/new/*"
status = 301
"#,
};

/// `[[web.cache]]`.
pub(crate) const CACHE: Section = Section {
    name: "web.cache",
    header: "[[web.cache]]",
    says: || {
        wording!(
            "How long browsers keep some files of the site. Without a rule they ask each time, and an ETag spares sending the file.",
            "网站的某些文件在浏览器里缓存多久。没有规则时每次都询问，ETag 相同就不再传送。"
        )
    },
    keys: &[
        Key::new("path", Text, || {
            wording!(
                "Which files: `/assets/*`, or `*.js`.",
                "哪些文件：`/assets/*`，或 `*.js`。"
            )
        })
        .or(Refused)
        .such_as("\"/assets/*\"")
        .beside("max_age = \"365d\""),
        Key::new("max_age", TIME, || wording!("How long.", "多久。"))
            .or(Refused)
            .such_as("\"365d\"")
            .beside("path = \"/assets/*\""),
    ],
    others: None,
    sample: r#"[web]
site = "dist"

[[web.cache]]
path = "/assets/*"
max_age = "365d"
"#,
};

/// `[push]`.
pub(crate) const PUSH: Section = Section {
    name: "push",
    header: "[push]",
    says: || {
        wording!(
            "Message push as WeChat's console has it (消息推送配置), whose URL is `https://…/v1/push`. In `dev` and `exec` the routes are enough.",
            "与控制台的「消息推送配置」一致，那里的 URL 填 `https://…/v1/push`。在 `dev` 和 `exec` 里只写路由就够了。"
        )
    },
    keys: &[
        Key::new("token_file", Path, || {
            wording!(
                "The file that has the console's Token.",
                "存放控制台的 Token 的文件。"
            )
        })
        .such_as("\"push.token\"")
        .beside("aes_keys_file = \"push.keys\"\nmode = \"secure\"\nformat = \"json\"")
        .excludes(&["token"]),
        Key::new("token", Text, || wording!("The Token itself.", "Token 本身。"))
            .such_as("\"AAAAA\"")
            .beside("aes_keys_file = \"push.keys\"\nmode = \"secure\"\nformat = \"json\""),
        Key::new("aes_keys_file", Path, || {
            wording!(
                "The file that has the console's EncodingAESKey; older ones may follow, a line for each, and stay valid. Not needed in plain mode.",
                "存放控制台的 EncodingAESKey 的文件；旧的可以写在后面，每行一个，仍然有效。明文模式不需要。"
            )
        })
        .such_as("\"push.keys\"")
        .beside("token = \"AAAAA\"\nmode = \"plain\"\nformat = \"json\"")
        .excludes(&["aes_keys"]),
        Key::new("aes_keys", List(&Text), || {
            wording!("The keys themselves.", "EncodingAESKey 本身。")
        })
        .such_as("[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]")
        .beside("token = \"AAAAA\"\nmode = \"plain\"\nformat = \"json\""),
        Key::new("mode", Words(&["secure", "compatible", "plain"]), || {
            wording!(
                "How pushes are encrypted (消息加解密方式), as in the console; wanted beside a token.",
                "消息加解密方式，与控制台一致：安全模式（secure）、兼容模式（compatible）、明文模式（plain）；有 token 时必须写。"
            )
        })
        .such_as("\"secure\"")
        .beside("token = \"AAAAA\"\naes_keys_file = \"push.keys\"\nformat = \"json\""),
        Key::new("format", Words(&["json", "xml"]), || {
            wording!(
                "How pushes are written (数据格式), as in the console; wanted beside a token.",
                "数据格式，与控制台一致；有 token 时必须写。"
            )
        })
        .such_as("\"json\"")
        .beside("token = \"AAAAA\"\naes_keys_file = \"push.keys\"\nmode = \"secure\""),
        Key::new(
            "routes",
            Map {
                name: "KIND",
                of: &Text,
            },
            || {
                wording!(
                    "The function of each kind of push: a message type, `event/NAME`, or `*` for the rest. `yunqiao push --list` names them all.",
                    "每种推送由哪个云函数处理：消息类型、`event/NAME`，或用 `*` 表示其余的。`yunqiao push --list` 列出全部种类。"
                )
            },
        )
        .such_as("{ text = \"kefu\", \"event/user_enter_tempsession\" = \"kefu\" }"),
    ],
    others: None,
    sample: r#"[push]
token_file = "push.token"
aes_keys_file = "push.keys"
mode = "secure"
format = "json"

[push.routes]
text = "kefu"
"event/user_enter_tempsession" = "kefu"
"#,
};

/// `[timers]`.
pub(crate) const TIMERS: Section = Section {
    name: "timers",
    header: "[timers]",
    says: || {
        wording!(
            "How the `triggers` of functions are read.",
            "怎样理解云函数的 `triggers`。"
        )
    },
    keys: &[
        Key::new("zone", Text, || {
            wording!(
                "Whose clock time they mean: `\"Asia/Shanghai\"`, `\"UTC\"`.",
                "按哪个时区的时间：`\"Asia/Shanghai\"`、`\"UTC\"`。"
            )
        })
        .or(Said(|| {
            wording!("UTC+8, as on the platform", "UTC+8，与平台一致")
        }))
        .such_as("\"Europe/Berlin\""),
        Key::new("missed", Words(&["skip", "run-once"]), || {
            wording!(
                "What becomes of ticks for which nobody was awake: nothing, or the last one is made up for.",
                "服务没有运行时错过的触发怎么办：跳过（skip），或补一次（run-once）。"
            )
        })
        .or(Value("\"skip\""))
        .such_as("\"run-once\""),
    ],
    others: None,
    sample: r#"[timers]
zone = "Asia/Shanghai"
missed = "run-once"
"#,
};

/// `[keys]`.
pub(crate) const KEYS: Section = Section {
    name: "keys",
    header: "[keys]",
    says: || {
        wording!(
            "The root keys by which tokens and cloudIDs are sealed, 32 bytes each in base64. Where nothing is said, the store makes one and keeps it. The newest seals, all open.",
            "封装 token 和 cloudID 的根密钥，每个是 32 字节的 base64。不写则由 store 生成并保存。最新的用来封装，全部都能解开。"
        )
    },
    keys: &[
        Key::new("file", Path, || {
            wording!(
                "The file that has them, a line for each, the newest first.",
                "存放它们的文件，每行一个，新的在前。"
            )
        })
        .such_as("\"root.keys\"")
        .excludes(&["ring"]),
        Key::new("ring", List(&Text), || {
            wording!("The keys themselves, the newest first.", "密钥本身，新的在前。")
        })
        .or(Value("[]"))
        .such_as("[\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]"),
    ],
    others: None,
    sample: "[keys]\nfile = \"root.keys\"\n",
};

/// `[sim]`.
pub(crate) const SIM: Section = Section {
    name: "sim",
    header: "[sim]",
    says: || {
        wording!(
            "How the simulated WeChat of `dev` and `exec` behaves where WeChat leaves room.",
            "`dev` 和 `exec` 里模拟的微信，在微信没有说定的地方怎样表现。"
        )
    },
    keys: &[
        Key::new("foreign_codes", Words(&["first-user", "refuse"]), || {
            wording!(
                "What becomes of a login code or open data that it did not issue, from DevTools or a phone: it counts as the first user's, or it is refused as by WeChat.",
                "不是它发出的登录凭证或开放数据（来自开发者工具或手机）怎么办：算第一个用户的（first-user），或像微信一样拒绝（refuse）。"
            )
        })
        .or(Said(|| {
            wording!(
                "`\"first-user\"` in `dev`, `\"refuse\"` in `exec`",
                "`dev` 是 `\"first-user\"`，`exec` 是 `\"refuse\"`"
            )
        }))
        .such_as("\"refuse\""),
        Key::new("cloud_opened", Boolean, || {
            wording!(
                "Whether Cloud Development is opened; without it open data has no `cloudID`.",
                "是否开通了云开发；没有开通时，开放数据里没有 `cloudID`。"
            )
        })
        .or(Usual("true"))
        .such_as("false"),
        Key::new("lib_version", Text, || {
            wording!(
                "The version of the base library; below 2.7.0 open data has no `cloudID`.",
                "基础库版本；低于 2.7.0 时，开放数据里没有 `cloudID`。"
            )
        })
        .or(Usual("\"3.15.3\""))
        .such_as("\"2.27.0\""),
        Key::new("strict", Boolean, || {
            wording!(
                "Whether it checks what WeChat checks only at times: content types, `desc` of `getUserProfile`, `shareTicket` of `getShareInfo`.",
                "是否连微信有时才检查的也检查：content-type、`getUserProfile` 的 `desc`、`getShareInfo` 的 `shareTicket`。"
            )
        })
        .or(Usual("false"))
        .such_as("true"),
        Key::new("session_rotation", TIME, || {
            wording!(
                "After what time a login gives the user a new session_key.",
                "多久以后登录会换新的 session_key。"
            )
        })
        .or(Usual("\"10m\""))
        .such_as("\"1s\""),
        Key::new("session_idle", TIME, || {
            wording!(
                "After what time an unused session_key is void.",
                "session_key 多久不用就失效。"
            )
        })
        .or(Usual("\"3d\""))
        .such_as("\"1h\""),
        Key::new("withdrawn", Words(&["accept", "refuse"]), || {
            wording!(
                "What becomes of calls to APIs that WeChat has withdrawn: they succeed, or get the errcode that they have in production.",
                "调用微信已下线的接口怎么办：成功（accept），或返回线上的错误码（refuse）。"
            )
        })
        .or(Usual("\"accept\""))
        .such_as("\"refuse\""),
        Key::new("unknown_templates", Words(&["make", "refuse"]), || {
            wording!(
                "What becomes of a template of subscribe messages that the app does not have: it is made at its first use, with the fields of the messages that come, or it is refused as by WeChat (40037, 20001).",
                "订阅消息用到小程序没有的模板怎么办：首次使用时按收到的消息补建（make），或像微信一样拒绝（refuse；40037、20001）。"
            )
        })
        .or(Said(|| {
            wording!(
                "`\"make\"` in `dev`, `\"refuse\"` in `exec`",
                "`dev` 是 `\"make\"`，`exec` 是 `\"refuse\"`"
            )
        }))
        .such_as("\"refuse\""),
        Key::new(
            "users",
            Map {
                name: "NAME",
                of: &Table(&SIM_USER),
            },
            || {
                wording!(
                    "Users who are there at each start, besides Alice and Bob.",
                    "除了 alice 和 bob，每次启动都有的用户。"
                )
            },
        ),
        Key::new(
            "templates",
            Map {
                name: "ID",
                of: &Table(&SIM_TEMPLATE),
            },
            || {
                wording!(
                    "Templates of subscribe messages that are there at each start.",
                    "每次启动都有的订阅消息模板。"
                )
            },
        ),
        Key::new(
            "subscriptions",
            Map {
                name: "USER",
                of: &Either(&[
                    List(&Text),
                    Map {
                        name: "ID",
                        of: &Whole {
                            least: 0,
                            most: LARGEST_NUMBER,
                        },
                    },
                ]),
            },
            || {
                wording!(
                    "Of which templates a user has accepted messages: a list, for one of each, or a table with the number for each.",
                    "用户订阅了哪些模板：列表表示各一条，表里可以写各自的条数。"
                )
            },
        )
        .such_as("{ alice = [\"order_paid\"], bob = { order_paid = 3 } }"),
    ],
    others: None,
    sample: r#"[sim]
foreign_codes = "refuse"
lib_version = "2.27.0"
"#,
};

/// `[sim.users.NAME]`.
pub(crate) const SIM_USER: Section = Section {
    name: "sim.users.NAME",
    header: "[sim.users.carol]",
    says: || {
        wording!(
            "A simulated user, who is called as the table is. What is left out is made up, the same at each start; of Alice and Bob it stays as it was.",
            "一个模拟用户，名字就是表名。没写的内容自动生成，每次启动都一样；alice 和 bob 则保持原样。"
        )
    },
    keys: &[
        Key::new("openid", Text, || {
            wording!("The openid of this user.", "该用户的 openid。")
        })
        .such_as("\"oCarol_0001\""),
        Key::new("unionid", Either(&[Text, False]), || {
            wording!(
                "The unionid; `false` for none, as of an app that is bound to no Open Platform account.",
                "unionid；`false` 表示没有，就像没有绑定开放平台的小程序。"
            )
        })
        .such_as("\"oUnion_0001\""),
        Key::new("phone", Text, || wording!("The phone number.", "手机号。")).such_as("\"13800138000\""),
        Key::new(
            "steps",
            List(&Whole {
                least: 0,
                most: LARGEST_NUMBER,
            }),
            || {
                wording!(
                    "WeRun steps of the last days, today's last, at most 31.",
                    "最近几天的微信运动步数，今天的在最后，最多 31 天。"
                )
            },
        )
        .such_as("[1200, 8000]"),
        Key::new("nick_name", AnyText, || {
            wording!("The name in the profile.", "昵称。")
        })
        .such_as("\"卡罗\""),
        Key::new("gender", Numbers(&[0, 1, 2]), || {
            wording!("The gender: unknown, man, woman.", "性别：未知、男、女。")
        })
        .such_as("2"),
        Key::new("language", AnyText, || wording!("The language.", "语言。")).such_as("\"zh_CN\""),
        Key::new("city", AnyText, || wording!("The city.", "城市。")).such_as("\"Guangzhou\""),
        Key::new("province", AnyText, || wording!("The province.", "省份。")).such_as("\"Guangdong\""),
        Key::new("country", AnyText, || wording!("The country.", "国家。")).such_as("\"China\""),
        Key::new("avatar_url", AnyText, || {
            wording!("The address of the picture.", "头像的地址。")
        })
        .such_as("\"https://example.com/carol.png\""),
    ],
    others: None,
    sample: r#"[sim.users.carol]
phone = "13800138000"
steps = [1200, 8000]
"#,
};

/// `[sim.templates.ID]`.
pub(crate) const SIM_TEMPLATE: Section = Section {
    name: "sim.templates.ID",
    header: "[sim.templates.order_paid]",
    says: || {
        wording!(
            "A template of subscribe messages, whose priTmplId is the table's name.",
            "一个订阅消息模板，priTmplId 就是表名。"
        )
    },
    keys: &[
        Key::new("title", AnyText, || wording!("The title.", "标题。")).such_as("\"付款成功\""),
        Key::new("content", AnyText, || {
            wording!(
                "The lines, as WeChat's console shows them; they say which fields a message has.",
                "内容，与微信后台显示的一样；消息有哪些字段由它决定。"
            )
        })
        .such_as("\"商品:{{thing1.DATA}}\\n\""),
        Key::new("fields", List(&Text), || {
            wording!("The fields alone, in place of the lines.", "只写字段，代替内容。")
        })
        .such_as("[\"thing1\", \"date2\"]")
        .excludes(&["content"]),
        Key::new("type", Numbers(&[2, 3]), || {
            wording!(
                "One-time (`2`), where each acceptance is good for one message, or long-term (`3`).",
                "一次性（`2`），每同意一次可以发一条；或长期（`3`）。"
            )
        })
        .or(Value("2"))
        .such_as("3"),
        Key::new("example", AnyText, || {
            wording!("The example that the console shows.", "后台显示的示例。")
        })
        .such_as("\"商品:苹果\""),
    ],
    others: None,
    sample: r#"[sim.templates.order_paid]
title = "付款成功"
content = "商品:{{thing1.DATA}}\n时间:{{date2.DATA}}\n"

[sim.subscriptions]
alice = ["order_paid"]
"#,
};

//! The help of the command line in Chinese: each text of [`args`](crate::args), and what it is called. A test holds it complete.

/// English and Chinese. What is typed, and names of the platform's, stay as they are.
pub(crate) const TEXTS: &[(&str, &str)] = &[
    // Commands
    (
        "Your own WeChat cloud: runs Mini Program cloud functions on a laptop, in CI and in production",
        "你自己的微信云开发：在笔记本、CI 和生产环境里运行小程序云函数",
    ),
    (
        "Run the project in DIR with a simulated WeChat behind it; reload when a file is saved",
        "运行 DIR 里的项目，背后是模拟的微信；保存文件后自动重新加载",
    ),
    (
        "Run the project while CMD runs, on free ports, and exit with CMD's status",
        "在空闲端口上运行项目，同时执行 CMD，结束后以 CMD 的状态码退出",
    ),
    (
        "Call a function as a simulated user",
        "以模拟用户的身份调用云函数",
    ),
    (
        "Serve in production, as yunqiao.toml says",
        "在生产环境里按 yunqiao.toml 提供服务",
    ),
    (
        "Run the simulated WeChat alone, for a backend in any language to be tested against",
        "只运行模拟的微信，供任何语言的后端测试",
    ),
    (
        "Have the simulated WeChat push a message or an event, and say what it was answered",
        "让模拟的微信推送一条消息或事件，并显示得到的回复",
    ),
    (
        "Show what functions print, as it happens, and what happened before",
        "实时显示云函数打印的内容，以及此前发生的事",
    ),
    (
        "Print a fresh link to the console of the running project; it opens one browser, once",
        "为运行中的项目打印一个新的控制台链接，只能在一个浏览器里打开一次",
    ),
    (
        "Decrypt open data (what wx.getUserInfo, getWeRunData, getPhoneNumber … gave as encryptedData and iv), or a message push",
        "解密开放数据（wx.getUserInfo、getWeRunData、getPhoneNumber 等给出的 encryptedData 和 iv），或一条消息推送",
    ),
    (
        "Print the signature of rawData: sha1(rawData + session_key)",
        "打印 rawData 的签名：sha1(rawData + session_key)",
    ),
    ("Check the signature of rawData", "校验 rawData 的签名"),
    (
        "Show WeChat's server API: name, method, path, cloud call or not, document",
        "查微信服务端接口：名称、方法、路径、是否支持云调用、文档",
    ),
    (
        "Say what is wrong with the project in DIR, and the mend",
        "指出 DIR 里的项目有什么问题、怎么改",
    ),
    (
        "List the collections of the project's database, import and export documents, make indexes",
        "云数据库：列出集合，导入导出记录，建立索引",
    ),
    (
        "List, upload, download and remove the files of the project's storage, or copy them from another place",
        "云存储：列出、上传、下载、删除文件，或从别处复制",
    ),
    (
        "Let users log in by name and password: keep the file that [auth] passwords names",
        "用户名密码登录：维护 [auth] passwords 所指的文件",
    ),
    (
        "Make a little project of your own in DIR: a page, two functions, a test",
        "在 DIR 里建一个你自己的小项目：一个页面、两个云函数、一个测试",
    ),
    (
        "Print the JSON Schema of yunqiao.toml, by which an editor completes and checks it",
        "打印 yunqiao.toml 的 JSON Schema，编辑器据此补全和检查",
    ),
    (
        "The first line of yunqiao.toml names it: #:schema ./yunqiao.schema.json. Editors with taplo or Even Better TOML read it. `yunqiao init` writes both.",
        "在 yunqiao.toml 的第一行写上 #:schema ./yunqiao.schema.json，使用 taplo 或 Even Better TOML 的编辑器就会读取它。`yunqiao init` 两样都会写好。",
    ),
    (
        "Print what a shell needs to complete commands, options, and names of functions, users, pushes and APIs",
        "打印 shell 的补全脚本：命令、选项，以及云函数、用户、推送、接口的名称",
    ),
    (
        "Print this message or the help of the given subcommand(s)",
        "显示本帮助，或某个命令的帮助",
    ),
    (
        "Add a user, with a uid that nobody has",
        "添加用户，并分配一个新的 uid",
    ),
    ("List users: uid, name", "列出用户：uid、用户名"),
    (
        "Remove a user; what they own stays, and whoever logged in by that name is logged out",
        "移除用户；其名下的数据保留，用这个名字登录的会被登出",
    ),
    (
        "List files: size, when it was written, whose it is, path",
        "列出文件：大小、写入时间、所有者、路径",
    ),
    (
        "Upload a file, or all files of a folder, and print their file ids",
        "上传一个文件，或整个文件夹，并打印文件 ID",
    ),
    (
        "Download a file, or all files of a folder",
        "下载一个文件，或整个文件夹",
    ),
    ("Remove files", "删除文件"),
    (
        "Copy files with their owners and types from another place, such as the folder in which they lay before [storage] s3 was set; those that are there already are left out",
        "从别处复制文件，连同所有者和类型，例如设置 [storage] s3 之前所在的文件夹；已有的跳过",
    ),
    (
        "List collections, how many documents each has, and its indexes",
        "列出集合、记录数和索引",
    ),
    (
        "Put the documents of FILE into a collection, which is made if it is not there",
        "把 FILE 里的记录导入集合，集合不存在则创建",
    ),
    (
        "Write the documents of a collection into FILE, or to standard output",
        "把集合里的记录写到 FILE，或标准输出",
    ),
    (
        "List the indexes of a collection; with FIELDS add one, or remove one",
        "列出集合的索引；给出 FIELDS 则添加或删除一个",
    ),
    (
        "List what clients may do with collections, and which file says so; with --set write it into yunqiao.toml",
        "列出小程序端对各集合的权限及其来源文件；加 --set 则写进 yunqiao.toml",
    ),
    // Options and arguments
    (
        "Print for a program to read: results and `ready` as JSON, errors as {\"errCode\",\"errMsg\"}",
        "供程序读取：结果和 `ready` 输出为 JSON，错误为 {\"errCode\",\"errMsg\"}",
    ),
    ("Say more; twice says everything", "显示更多；写两次则显示全部"),
    (
        "The language of help and of what is said: en or zh; by default that of LANG",
        "帮助与提示的语言：en 或 zh；默认按 LANG",
    ),
    ("Print help", "显示帮助"),
    ("Print version", "显示版本"),
    (
        "The project: a folder with project.config.json or yunqiao.toml",
        "项目：含有 project.config.json 或 yunqiao.toml 的文件夹",
    ),
    (
        "The gateway's port; 0 picks a free one, and so for each of the others that is not given",
        "网关的端口；0 表示任选空闲端口，其余没写的端口也一样",
    ),
    (
        "The simulated WeChat's port; 0 picks a free one [default: 8788, or a free one beside `--port 0`]",
        "模拟的微信的端口；0 表示任选空闲端口 [默认: 8788；与 `--port 0` 同用时任选]",
    ),
    (
        "The operator's port, on this machine only; 0 picks a free one [default: 8789, or a free one beside `--port 0`]",
        "运维入口的端口，只限本机；0 表示任选空闲端口 [默认: 8789；与 `--port 0` 同用时任选]",
    ),
    (
        "The port of HTTP access and of the site; 0 picks a free one [default: 8786, or a free one beside `--port 0`]",
        "HTTP 访问与网页的端口；0 表示任选空闲端口 [默认: 8786；与 `--port 0` 同用时任选]",
    ),
    (
        "The address to listen on; other than loopback opens gateway, web and simulated WeChat to the network (a phone, say)",
        "监听的地址；不是回环地址时，网络上的其他设备（如手机）可以访问网关、网页和模拟的微信",
    ),
    (
        "Start workers with Node's inspector: of one function, or of all",
        "用 Node 的调试器启动云函数：某一个，或全部",
    ),
    (
        "Begin with what yunqiao.toml declares and a seed alone, and keep nothing of this run; what was kept before stays as it is",
        "只从 yunqiao.toml 声明的内容和种子数据开始，本次运行不保存任何东西；之前保存的保持不变",
    ),
    (
        "Begin with the state in FROM, as `yunqiao state export` wrote it",
        "从 FROM 里的状态开始，即 `yunqiao state export` 写的",
    ),
    (
        "Write the state that CMD has left into TO, whatever its status",
        "把 CMD 结束后的状态写入 TO，不论它的状态码",
    ),
    (
        "Write what `yunqiao dev` keeps of the project into a folder that can be committed, or bring it back: users, templates, subscriptions and the outbox of the simulated WeChat, documents, files",
        "把 `yunqiao dev` 为项目保存的内容写成可以提交的目录，或再导回来：模拟微信的用户、模板、订阅和发件箱，数据库记录，文件",
    ),
    (
        "A `yunqiao dev` that runs for the project goes on meanwhile. No session, key or token is in what is written.",
        "项目的 `yunqiao dev` 可以同时运行。写出的内容不含会话、密钥和令牌。",
    ),
    ("Write the state into TO", "把状态写入 TO"),
    (
        "A folder, or a file that ends with .tgz; a state that is there gives way",
        "目录，或以 .tgz 结尾的文件；已有的状态会被替换",
    ),
    (
        "Bring in the state in FROM, where nothing is kept yet",
        "导入 FROM 里的状态，要求还没有保存任何数据",
    ),
    ("The folder, or the .tgz file", "目录，或 .tgz 文件"),
    (
        "Take the place of all that is kept; if the import fails, everything stays as it was",
        "替换已保存的全部数据；导入失败时一切保持原样",
    ),
    ("The command and its arguments", "命令及其参数"),
    (
        "Install nothing: dependencies must be cached, or lie in node_modules",
        "不安装任何东西：依赖必须已缓存，或在 node_modules 里",
    ),
    ("The function", "云函数"),
    ("The call's data, a JSON object", "调用的 data，一个 JSON 对象"),
    ("The simulated user who calls", "发起调用的模拟用户"),
    (
        "Put a fresh cloudID of KIND at the top-level field FIELD, as wx.cloud.CloudID would",
        "在顶层字段 FIELD 放一个新的 KIND 类 cloudID，相当于 wx.cloud.CloudID",
    ),
    (
        "Fire a timer of the function now: the one of this name in its config.json, or the only one",
        "立即触发云函数的定时触发器：config.json 里这个名称的，或唯一的一个",
    ),
    (
        "The project, whose running `yunqiao dev` is used where there is one",
        "项目；如有运行中的 `yunqiao dev` 就使用它",
    ),
    ("The configuration", "配置文件"),
    (
        "Only look: say everything that is wrong, and start nothing",
        "只检查：指出全部问题，不启动任何东西",
    ),
    ("The port; 0 picks a free one", "端口；0 表示任选空闲端口"),
    (
        "The address to listen on; other than loopback opens it to the network",
        "监听的地址；不是回环地址时网络上的其他设备可以访问",
    ),
    ("The Mini Program's appid", "小程序的 appid"),
    (
        "Its AppSecret, which a backend under test is configured with",
        "它的 AppSecret，被测后端也用它配置",
    ),
    (
        "Keep users, templates and subscriptions in FILE from one start to the next",
        "把用户、模板和订阅保存在 FILE 里，下次启动继续用",
    ),
    (
        "Where messages and events are pushed; without it only `yunqiao push --url` pushes any",
        "消息和事件推送到哪里；不写则只有 `yunqiao push --url` 推送",
    ),
    (
        "How pushes are encrypted (消息加解密方式): plain, compatible or secure",
        "消息加解密方式：plain（明文）、compatible（兼容）或 secure（安全）",
    ),
    (
        "How pushes are written (数据格式): json or xml",
        "数据格式：json 或 xml",
    ),
    (
        "The message's MsgType, the event's Event, or the console's name for it",
        "消息的 MsgType、事件的 Event，或控制台里的名称",
    ),
    (
        "List what can be pushed, with its fields: all, or where TYPE is a part of the name",
        "列出可推送的种类及字段：全部，或名称含有 TYPE 的",
    ),
    (
        "Push nothing: verify the URL as WeChat does before it pushes there",
        "不推送：像微信那样先验证 URL",
    ),
    (
        "The simulated user whose message or event it is; the first if left out",
        "消息或事件所属的模拟用户；不写则为第一个",
    ),
    (
        "The field Content: what a user writes",
        "字段 Content：用户写的内容",
    ),
    (
        "A field instead of the made-up one; V is JSON where it can be read as JSON, and else a text; null leaves K out",
        "用它代替编造的字段；V 能当 JSON 读就是 JSON，否则是文本；null 表示去掉 K",
    ),
    (
        "Fields as a JSON object; --field and --content go before them",
        "字段，写成 JSON 对象；--field 和 --content 优先",
    ),
    (
        "Where to, instead of to the project's functions",
        "推送到这里，而不是项目的云函数",
    ),
    (
        "The simulated WeChat that pushes, as `yunqiao simulate` printed it",
        "由哪个模拟的微信推送：`yunqiao simulate` 打印的地址",
    ),
    ("Only the calls of this function", "只看这个云函数的调用"),
    (
        "How much to show of what happened before, in calls",
        "显示此前的多少次调用",
    ),
    ("End after what there is", "显示完已有的就结束"),
    ("The project", "项目"),
    (
        "Open it in the browser as well: by $BROWSER, or the system's usual one",
        "同时在浏览器里打开：$BROWSER，或系统默认的",
    ),
    ("The shell", "哪种 shell"),
    (
        "The session_key that auth.code2Session gave (24 characters of base64)",
        "auth.code2Session 给出的 session_key（24 个 base64 字符）",
    ),
    ("The iv that came with the data", "与数据一起得到的 iv"),
    (
        "Refuse data that was made for another app",
        "拒绝属于别的小程序的数据",
    ),
    (
        "Decrypt a message push instead, with the settings of the console (消息推送配置)",
        "改为解密一条消息推送，用控制台「消息推送配置」里的设置",
    ),
    (
        "The Token of the console's push settings",
        "「消息推送配置」里的 Token",
    ),
    (
        "The EncodingAESKey of the console's push settings (43 characters); may be given several times, for old and new",
        "「消息推送配置」里的 EncodingAESKey（43 个字符）；新旧密钥可各写一次",
    ),
    ("timestamp in the URL", "URL 里的 timestamp"),
    ("nonce in the URL", "URL 里的 nonce"),
    ("msg_signature in the URL", "URL 里的 msg_signature"),
    (
        "The encryptedData; of a push, the body (JSON or XML) or the text of Encrypt; `-` reads it from standard input",
        "encryptedData；消息推送则是请求体（JSON 或 XML）或 Encrypt 的内容；`-` 表示从标准输入读",
    ),
    (
        "The rawData, to the byte; `-` reads it from standard input",
        "rawData，一个字节都不能差；`-` 表示从标准输入读",
    ),
    (
        "The signature that the client sent (40 hexadecimal digits)",
        "客户端发来的 signature（40 位十六进制）",
    ),
    (
        "A part of the name, the path, or the document's title; the best match comes first",
        "名称、路径或文档标题的一部分；最匹配的排在最前",
    ),
    (
        "Mend what can be mended in config.json and package.json, and say what was done",
        "把 config.json 和 package.json 里能改的改好，并说明改了什么",
    ),
    (
        "The project whose data `yunqiao dev` keeps",
        "项目，数据由 `yunqiao dev` 保存",
    ),
    (
        "The configuration of `yunqiao serve`, for the data that it keeps",
        "`yunqiao serve` 的配置文件，数据由它保存",
    ),
    ("By which they log in", "登录用的名字"),
    (
        "By which they log in, such as alice or alice@example.com",
        "登录用的名字，如 alice 或 alice@example.com",
    ),
    (
        "Give a user who is there another password; whoever logged in with the old one is logged out",
        "给已有的用户换密码；用旧密码登录的会被登出",
    ),
    (
        "What their paths begin with, such as photos/",
        "路径以什么开头，如 photos/",
    ),
    (
        "Those in folders too, instead of the folders",
        "列出文件夹里的文件，而不是文件夹",
    ),
    (
        "The file or folder on this machine; - is standard input, and wants PATH",
        "本机上的文件或文件夹；- 表示标准输入，此时要写 PATH",
    ),
    (
        "Where to; below it, where it ends with / or SOURCE is a folder [default: SOURCE's name]",
        "放到哪里；以 / 结尾或 SOURCE 是文件夹时，放在它下面 [默认: SOURCE 的名称]",
    ),
    (
        "Whose the files become: an openid [default: nobody's, as what functions upload]",
        "文件归谁：一个 openid [默认: 不属于任何人，与云函数上传的一样]",
    ),
    (
        "The file, or the folder with / at its end",
        "文件，或以 / 结尾的文件夹",
    ),
    (
        "Where to on this machine; - prints a file [default: PATH's name; / needs one]",
        "放到本机的哪里；- 表示打印文件 [默认: PATH 的名称；/ 必须写]",
    ),
    (
        "Replace files that are on this machine already",
        "覆盖本机上已有的文件",
    ),
    (
        "All files that there are, as / with -r",
        "与 -r 和 / 一起使用：删除全部文件",
    ),
    (
        "Files; with -r also folders, with / at their end",
        "文件；加 -r 也可以是以 / 结尾的文件夹",
    ),
    ("All files of a folder", "文件夹里的全部文件"),
    (
        "The other place: a folder of files, another project, or its yunqiao.toml",
        "从哪里复制：文件的文件夹、另一个项目，或它的 yunqiao.toml",
    ),
    ("What their paths begin with", "路径以什么开头"),
    ("The collection", "集合"),
    (
        "The collections [default: all that a file says something of]",
        "集合 [默认: 已写明权限的全部集合]",
    ),
    (
        "Write this level: READONLY, PRIVATE, ADMINWRITE or ADMINONLY",
        "写入这个权限级别：READONLY、PRIVATE、ADMINWRITE 或 ADMINONLY",
    ),
    ("The file; `-` reads standard input", "文件；`-` 表示从标准输入读"),
    (
        "How documents stand in FILE, where its name and its first character do not tell: json, objects or one array of them; csv, with a line of fields first",
        "FILE 的格式，从文件名和第一个字符看不出来时写：json，多个对象或一个数组；csv，第一行是字段",
    ),
    (
        "A document takes the place of the one that has its _id; without this, it is refused",
        "_id 相同的记录被替换；不写则拒绝",
    ),
    (
        "Names with dots in them stay names, as `yunqiao db export` writes them; without this, \"a.b\" is b in a, as in WeChat's import",
        "带点号的字段名保持原样（与 `yunqiao db export` 写出的一致）；不写则 \"a.b\" 表示 a 里的 b，与微信的导入相同",
    ),
    (
        "The file, which is replaced if it is there; `-` or nothing writes to standard output",
        "文件，已有则覆盖；`-` 或不写表示标准输出",
    ),
    (
        "How documents stand in FILE: lines, a JSON object on each; array, one JSON array; csv",
        "FILE 的格式：lines，每行一个 JSON 对象；array，一个 JSON 数组；csv",
    ),
    (
        "Only the documents that match, as a query of MongoDB's in JSON",
        "只要匹配的记录，写成 JSON 的 MongoDB 查询",
    ),
    (
        "The columns of CSV, such as _id,name,address.city; without it, all fields that any document has",
        "CSV 的列，如 _id,name,address.city；不写则为出现过的全部字段",
    ),
    (
        "Name the type of each number, so that an import makes the same number of it",
        "写明每个数字的类型，导入后仍是同样的数字",
    ),
    (
        "The fields, in their order; with `-` before one from great to small, with `:2dsphere` behind one as places on the sphere",
        "字段，按顺序写；前面加 `-` 表示从大到小，后面加 `:2dsphere` 表示地理位置",
    ),
    (
        "No two documents may have the same value; one without the field has null",
        "值不能重复；没有该字段的按 null 算",
    ),
    (
        "Leave out documents that have none of the fields",
        "不索引没有这些字段的记录",
    ),
    ("The first field is a place on the sphere", "第一个字段是地理位置"),
    (
        "Remove the index of that name, or over these fields",
        "删除这个名称的，或这些字段的索引",
    ),
    (
        "The folder, which must be empty or not there yet; the project is called as it is",
        "文件夹，必须为空或还不存在；项目以它命名",
    ),
    (
        "The Mini Program's appid; without one, what WeChat DevTools writes for somebody who has none",
        "小程序的 appid；不写则与开发者工具的游客模式一样",
    ),
    // Headings
    ("Message push", "消息推送"),
    // What stands below
    ("Start here:", "从这里开始："),
    ("Example:", "示例："),
    ("Examples:", "示例："),
    (
        "Example, in another terminal than `yunqiao dev`:",
        "示例，在运行 `yunqiao dev` 以外的终端里：",
    ),
    (
        "Example, with what the client sent in a file:",
        "示例，客户端发来的内容在文件里：",
    ),
    ("Example of a push:", "消息推送的示例："),
    ("Examples, one for each shell:", "示例，每种 shell 一个："),
    (
        "The exit status is 127 where there is no such command.",
        "没有这个命令时，退出状态码为 127。",
    ),
    ("CMD finds in its environment:", "CMD 可以使用这些环境变量："),
    (
        "  YUNQIAO_URL           the gateway",
        "  YUNQIAO_URL           网关",
    ),
    (
        "  YUNQIAO_WECHAT_URL    the simulated WeChat",
        "  YUNQIAO_WECHAT_URL    模拟的微信",
    ),
    (
        "  YUNQIAO_DATABASE_URL  the database for MongoDB's drivers, where [database] wire is set",
        "  YUNQIAO_DATABASE_URL  数据库，供 MongoDB 的驱动使用，需设置 [database] wire",
    ),
    (
        "Other commands of yunqiao that CMD runs, such as `call` and `db import`, mean this run, too.",
        "CMD 里执行的其他 yunqiao 命令（如 `call`、`db import`）也作用于这次运行。",
    ),
    (
        "Signed and encrypted with the token and encodingAESKey that GET /sim/app of the simulated WeChat tells. The exit status is 1 if nobody acknowledged.",
        "用模拟的微信 GET /sim/app 给出的 token 和 encodingAESKey 签名并加密。没有人确认收到时，退出状态码为 1。",
    ),
    (
        "Without --no-follow it goes on until it is interrupted. It shows what `yunqiao dev` writes to .yunqiao/calls.jsonl, and needs none to run. `yunqiao serve` prints what fails and what functions print by itself, to standard error.",
        "不写 --no-follow 就一直显示，直到被中断。内容来自 `yunqiao dev` 写的 .yunqiao/calls.jsonl，不需要它正在运行。`yunqiao serve` 自己会把失败的调用和云函数打印的内容输出到标准错误。",
    ),
    (
        "With -c it is the console of `yunqiao serve`, and [operator] secret_file must be set.",
        "加 -c 则是 `yunqiao serve` 的控制台，需设置 [operator] secret_file。",
    ),
    (
        "An interface with cloud call is called as cloud.openapi.NAME(…), once config.json lists its name in permissions.openapi.",
        "支持云调用的接口写作 cloud.openapi.NAME(…)，其名称要列在 config.json 的 permissions.openapi 里。",
    ),
    (
        "The functions' source is searched as text: where the name of an interface is computed or kept in a variable, the place is named. What packages in node_modules call is not seen.",
        "云函数的源码按文本搜索：接口名是算出来的或存在变量里时，会指出位置。node_modules 里的包调用了什么看不到。",
    ),
    (
        "A `yunqiao dev` that runs for the project goes on meanwhile. With -c it is the database of `yunqiao serve`; while that one runs, [operator] secret_file must be set.",
        "项目的 `yunqiao dev` 可以同时运行。加 -c 则是 `yunqiao serve` 的数据库；它运行时需设置 [operator] secret_file。",
    ),
    (
        "READONLY: all read, the creator writes (所有用户可读，仅创建者可写); PRIVATE: the creator reads and writes (仅创建者可读写); ADMINWRITE: all read, no client writes (所有用户可读); ADMINONLY: no client reads or writes (所有用户不可读写). In a running `yunqiao dev` it counts at once, in `yunqiao serve` from its next start.",
        "READONLY：所有用户可读，仅创建者可写；PRIVATE：仅创建者可读写；ADMINWRITE：所有用户可读；ADMINONLY：所有用户不可读写。运行中的 `yunqiao dev` 立即生效，`yunqiao serve` 下次启动时生效。",
    ),
    (
        "A PATH is a cloudPath or a file id; one that ends with / is a folder. A `yunqiao dev` that runs for the project goes on meanwhile. With -c they are the files of `yunqiao serve`; while that one runs and keeps them in a folder, [operator] secret_file must be set.",
        "PATH 是 cloudPath 或文件 ID；以 / 结尾的是文件夹。项目的 `yunqiao dev` 可以同时运行。加 -c 则是 `yunqiao serve` 的文件；它正在运行且文件在文件夹里时，需设置 [operator] secret_file。",
    ),
    (
        "The password is asked for, or is one line of standard input; a hash of it is kept. Whoever runs the project sees the change at once.",
        "密码会当场询问，或为标准输入的一行；保存的是它的哈希。运行中的项目立即生效。",
    ),
    (
        "In .zshrc the line stands after compinit.",
        "在 .zshrc 里，这一行要放在 compinit 之后。",
    ),
    (
        "FILE is what the console of WeChat exports, JSON objects one after another; or one JSON array; or CSV, whose first line names the fields (address.city is city in address). In CSV an empty cell is no field; numbers, true, false, times such as 2018-08-31T17:30:00.882Z and JSON in brackets are what they look like; all else is text.",
        "FILE 是微信云开发控制台导出的文件，即一个接一个的 JSON 对象；或一个 JSON 数组；或 CSV，第一行是字段名（address.city 即 address 里的 city）。CSV 里空单元格表示没有该字段；数字、true、false、2018-08-31T17:30:00.882Z 这样的时间，以及括号里的 JSON，看起来是什么就是什么；其余都是文本。",
    ),
    (
        "By the ending of FILE: .csv is CSV, anything else JSON objects, one on each line, as WeChat's console imports them. Cells of CSV hold what the fields hold, unchanged: a spreadsheet computes one that begins with =, +, - or @, so import the file there with its columns as text; the command says how many there are.",
        "按 FILE 的后缀：.csv 是 CSV，其余为每行一个 JSON 对象，与微信云开发控制台的导入格式一致。CSV 单元格与字段内容完全一样：以 =、+、- 或 @ 开头的会被表格软件当作公式，请按文本列导入；命令会提示有多少个。",
    ),
];

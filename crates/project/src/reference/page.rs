//! The reference as a page of the docs, in either language.

use std::fmt::Write as _;

use wording::{Wording, wording};

use super::{Absent, Key, Kind, Section, reference};
use crate::table::LONGEST_SECONDS;

/// What a text is in the language of the page.
pub(super) type Of = fn(&Wording) -> &str;

/// The page.
pub(super) fn page(of: Of) -> String {
    let mut page = String::from(
        "<!-- Made from crates/project/src/reference. YUNQIAO_BLESS=1 cargo test -p yunqiao-project writes it anew. -->\n\n# yunqiao.toml\n\n",
    );
    let line = |page: &mut String, said: Wording| {
        page.push_str(of(&said));
        page.push_str("\n\n");
    };
    line(
        &mut page,
        wording!(
            "What `yunqiao.toml` may say, which lies beside `project.config.json`. Every key is optional where nothing else is said, and a key that is not here is refused, with the nearest that is.",
            "`yunqiao.toml` 放在 `project.config.json` 旁边，可以写下面这些设置。除非注明必填，都可以不写；不在这里的键会被拒绝，并指出最接近的是哪个。"
        ),
    );
    line(
        &mut page,
        wording!(
            "* A **path** is relative to the folder of the file.\n* A **time** is `\"30s\"`, `\"10m\"`, `\"2h\"`, `\"3d\"`, or a number of whole seconds.\n* A **size** is `\"500KB\"`, `\"100MB\"`, `\"2GB\"`, or a number of bytes.\n* An **address and port** is `\"127.0.0.1:8787\"`, `\"localhost:8787\"` or `\"[::1]:8787\"`.",
            "* **路径**以文件所在的目录为起点。\n* **时长**写成 `\"30s\"`、`\"10m\"`、`\"2h\"`、`\"3d\"`，或整数秒。\n* **大小**写成 `\"500KB\"`、`\"100MB\"`、`\"2GB\"`，或字节数。\n* **地址和端口**写成 `\"127.0.0.1:8787\"`、`\"localhost:8787\"` 或 `\"[::1]:8787\"`。"
        ),
    );
    line(
        &mut page,
        wording!(
            "An editor completes and checks the file by a JSON Schema: `yunqiao schema > yunqiao.schema.json` writes it, and the first line `#:schema ./yunqiao.schema.json` of `yunqiao.toml` names it for taplo and for VS Code's Even Better TOML. `yunqiao init` writes both. `yunqiao serve --check` reads the file as the server does, and tells all that is wrong at once.",
            "编辑器可以用 JSON Schema 补全和检查这个文件：`yunqiao schema > yunqiao.schema.json` 生成它，`yunqiao.toml` 第一行的 `#:schema ./yunqiao.schema.json` 让 taplo 和 VS Code 的 Even Better TOML 找到它。`yunqiao init` 两样都会写好。`yunqiao serve --check` 像服务器一样读取文件，一次指出全部问题。"
        ),
    );
    let sections = reference();
    let links: Vec<_> = sections.iter().skip(1).map(|section| link(section)).collect();
    let _ = writeln!(page, "{}\n", links.join(" · "));
    for section in sections {
        write_section(&mut page, section, of);
    }
    page
}

fn write_section(page: &mut String, section: &Section, of: Of) {
    let heading = match section.name {
        "" => of(&wording!("At the top", "最上面")).to_owned(),
        _ => format!("`{}`", brackets(section)),
    };
    let says = (section.says)();
    let _ = writeln!(
        page,
        "<a id=\"{}\"></a>\n\n## {heading}\n\n{}\n",
        anchor(section),
        of(&says)
    );
    if !section.sample.is_empty() {
        let _ = writeln!(page, "```toml\n{}```\n", section.sample);
    }
    let head = wording!(
        "| key | type | without it | for example | what it does |",
        "| 键 | 类型 | 不写时 | 例如 | 作用 |"
    );
    let _ = writeln!(page, "{}\n|---|---|---|---|---|", of(&head));
    for key in section.keys {
        write_key(page, section, key, of);
    }
    if let Some((name, kind)) = &section.others {
        let cell = cell(kind, of);
        let _ = writeln!(page, "| *{name}* | {cell} | | | |");
    }
    page.push('\n');
}

fn write_key(page: &mut String, section: &Section, key: &Key, of: Of) {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let absent = match key.absent {
        Absent::Nothing => "—".to_owned(),
        Absent::Value(value) | Absent::Usual(value) => code(value),
        Absent::Said(said) => of(&said()).to_owned(),
        Absent::Refused => of(&wording!("(it is required)", "（必填）")).to_owned(),
    };
    let example = match key.example {
        "" => String::new(),
        example => code(example),
    };
    let mut says = of(&(key.says)()).replace('|', "\\|");
    if let Some(not_beside) = section.not_beside(key) {
        says.push_str(of(&not_beside));
    }
    let (name, cell) = (key.name, cell(&key.kind, of));
    let _ = writeln!(page, "| `{name}` | {cell} | {absent} | {example} | {says} |");
}

/// What a key takes, as it stands in a cell.
fn cell(kind: &Kind, of: Of) -> String {
    let words = |words: &mut dyn Iterator<Item = String>| {
        let all: Vec<_> = words.map(|word| format!("`{word}`")).collect();
        all.join(" / ")
    };
    let said = match kind {
        Kind::Text | Kind::AnyText => wording!("text", "文本"),
        Kind::Path => wording!("path", "路径"),
        Kind::Size => wording!("size", "大小"),
        Kind::Address => wording!("address and port", "地址和端口"),
        Kind::WebAddress => wording!("web address", "网址"),
        Kind::Whole { least, most } => wording!("{least} to {most}", "{least} 到 {most}"),
        Kind::Duration { most, .. } if *most == LONGEST_SECONDS => wording!("time", "时长"),
        Kind::Duration { least, most } => {
            wording!("time, {least} to {most} seconds", "时长，{least} 到 {most} 秒")
        }
        Kind::Rule => wording!("`true` / `false` / expression", "`true` / `false` / 表达式"),
        Kind::False => return "`false`".to_owned(),
        Kind::Boolean => return words(&mut ["true", "false"].map(str::to_owned).into_iter()),
        Kind::Numbers(numbers) => return words(&mut numbers.iter().map(u64::to_string)),
        Kind::Words(all) | Kind::WordsOfAnyCase(all) => {
            return words(&mut all.iter().map(|word| format!("\"{word}\"")));
        }
        Kind::List(kind) => {
            let item = cell(kind, of);
            wording!("list: {item}", "列表：{item}")
        }
        Kind::Either(kinds) => {
            let or = wording!(", or ", "，或 ");
            let kinds: Vec<_> = kinds.iter().map(|kind| cell(kind, of)).collect();
            return kinds.join(of(&or));
        }
        Kind::Table(section) | Kind::Tables(section) => return link(section),
        Kind::Map { of: kind, .. } if matches!(kind, Kind::Table(_)) => return cell(kind, of),
        Kind::Map { name, of: kind } => {
            let value = cell(kind, of);
            wording!("table: {name} = {value}", "表：{name} = {value}")
        }
    };
    of(&said).to_owned()
}

/// A section's name as it is written.
fn brackets(section: &Section) -> String {
    match section.header.starts_with("[[") {
        true => format!("[[{}]]", section.name),
        false => format!("[{}]", section.name),
    }
}

fn link(section: &Section) -> String {
    format!("[`{}`](#{})", brackets(section), anchor(section))
}

fn anchor(section: &Section) -> String {
    match section.name {
        "" => "top".to_owned(),
        name => name.replace("\"*\"", "all").replace('.', "-").to_lowercase(),
    }
}

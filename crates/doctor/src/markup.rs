//! Places of a Mini Program's pages where a file id stands that nobody but WeChat's own cloud can show: `<image src="cloud://…">`, its
//! like for video and sound, `background-image: url(cloud://…)` in markup and style sheets. The base library resolves these by itself, so a
//! client of ours cannot redirect them; an address has to stand there instead. All of these are hints: on the platform the pages are right
//! as they are.
//!
//! What markup shows is often a value that a script sets. The page's own script is searched as text for what it sets the value to,
//! and where that looks like a file id, the hint says "may". Values from the database are not known here.

use std::{collections::BTreeMap, ops::Range, path::Path};

use project::{Project, files};
use wording::{Wording, wording};

use crate::{
    Diagnosis,
    cure::{Cure, Edit},
    pages,
    tokens::{TokenKind, tokens},
};

/// Elements that show a file, with the attributes that name it.
const MEDIA: [(&str, &[&str]); 4] = [
    ("image", &["src"]),
    ("cover-image", &["src"]),
    ("video", &["src", "poster"]),
    ("audio", &["src", "poster"]),
];
/// Built-in elements and attributes that hand a text to a script alone, and show nothing of it.
const NOT_SHOWN: [&str; 6] = ["data-", "bind", "catch", "wx:", "mark:", "model:"];
const STYLE_SHEETS: [&str; 5] = ["wxss", "less", "scss", "sass", "css"];
/// As programs call a file id.
const FILE_IDS: [&str; 2] = ["fileid", "file_id"];
/// What an address comes by: a value with one of these is none any more.
const ADDRESSES: [&str; 3] = ["tempfileurl", "cloudurl", "tempfilepath"];
const ID: &str = "cloud://";
/// What is looked at behind a name that is set: the beginning of its value.
const MOST_TOKENS_OF_A_VALUE: usize = 40;

/// Examines the markup and style sheets of the project's pages.
pub(crate) fn examine(project: &Project) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let mend = Mend {
        all_read: project.settings.storage.permission.lets_all_read(),
    };
    let is_wanted = |ending: &str| ending == "wxml" || STYLE_SHEETS.contains(&ending);
    for path in pages::files(project, is_wanted) {
        let Some(text) = pages::read(&path) else { continue };
        match path.extension().is_some_and(|ending| ending == "wxml") {
            true => markup(&path, &text, mend, &mut found),
            false => style_sheet(&path, &text, &mut found),
        }
    }
    found
}

fn line_of(text: &str, at: usize) -> usize {
    files::position(text.as_bytes(), at).0
}

/// What to do, which depends on who may read files.
#[derive(Clone, Copy)]
struct Mend {
    all_read: bool,
}

impl Mend {
    /// For a background.
    fn of_style(self) -> Wording {
        match self.all_read {
            true => wording!(
                "put into url(…) {{{{cloud.url(endpoint, id)}}}} with cloud.wxs of @yunqiao/client",
                "url(…) 里请写 {{{{cloud.url(endpoint, id)}}}}，用 @yunqiao/client 的 cloud.wxs"
            ),
            false => wording!(
                "put into url(…) an address that wx.cloud.getTempFileURL gives",
                "url(…) 里请写 wx.cloud.getTempFileURL 给出的网址"
            ),
        }
    }

    /// For an attribute of this name.
    fn of_attribute(self, attribute: &str) -> Wording {
        match self.all_read {
            true => wording!(
                "write {attribute}=\"{{{{cloud.url(endpoint, id)}}}}\" with cloud.wxs of @yunqiao/client, or set it to wx.cloud.cloudUrl(id) in the script",
                "请写 {attribute}=\"{{{{cloud.url(endpoint, id)}}}}\"，用 @yunqiao/client 的 cloud.wxs；或在脚本里设为 wx.cloud.cloudUrl(id)"
            ),
            false => wording!(
                "set it to an address that wx.cloud.getTempFileURL gives: not everybody may read these files",
                "请设为 wx.cloud.getTempFileURL 给出的网址：这些文件不是所有人可读"
            ),
        }
    }
}

/// One attribute of an element.
#[derive(Debug)]
struct Attribute<'t> {
    element: &'t str,
    /// Where the element begins, which tells it from others.
    of: usize,
    name: &'t str,
    value: &'t str,
    /// Where the value stands.
    at: Range<usize>,
}

/// Looks through a WXML file.
fn markup(path: &Path, text: &str, mend: Mend, found: &mut Vec<Diagnosis>) {
    let attributes = attributes(text);
    let address = Addresser::of(text, &attributes);
    // What a list's items are called, with the lists.
    let mut items: Vec<(&str, &str)> = Vec::new();
    for attribute in &attributes {
        if attribute.name == "wx:for" || attribute.name == "wx:for-items" {
            let item = attributes
                .iter()
                .find(|other| other.name == "wx:for-item" && other.of == attribute.of);
            let item = item.map_or("item", |item| item.value);
            items.extend(names(attribute.value).into_iter().map(|list| (item, list)));
        }
    }
    let mut script = None;
    for attribute in &attributes {
        let Attribute {
            element, name, value, ..
        } = attribute;
        let line = line_of(text, attribute.at.start);
        let mut hint = |what: Wording, mend: Wording, cure: Option<Cure>| {
            found.push(Diagnosis {
                cure,
                ..Diagnosis::new(path, Some(line), what, mend)
            });
        };
        if *name == "style" {
            if urls(value).next().is_some() {
                hint(
                    wording!(
                        "a background of <{element}> is a file id, which WeChat looks for in its own cloud alone",
                        "<{element}> 的背景是文件 ID，微信只会在自己的云存储里查找"
                    ),
                    mend.of_style(),
                    None,
                );
            }
            continue;
        }
        let shows = MEDIA
            .iter()
            .any(|(media, names)| media == element && names.contains(name));
        let is_component = !shows && !NOT_SHOWN.iter().any(|prefix| name.starts_with(prefix));
        if value.trim_start().starts_with(ID) || shows && has_literal_id(value) {
            if shows {
                let cure = mend.all_read.then(|| address.cure(path, attribute)).flatten();
                hint(
                    wording!(
                        "<{element} {name}> is a file id, which WeChat looks for in its own cloud alone: it is not shown from here",
                        "<{element} {name}> 是文件 ID，微信只会在自己的云存储里查找：这里的文件显示不出来"
                    ),
                    mend.of_attribute(name),
                    cure,
                );
            } else if is_component && element.contains('-') {
                hint(
                    wording!(
                        "`{name}` of the component <{element}> is a file id; if it may become the src of an image, it is not shown from here",
                        "组件 <{element}> 的 `{name}` 是文件 ID；如果会成为图片的 src，这里的文件显示不出来"
                    ),
                    mend.of_attribute(name),
                    None,
                );
            }
            continue;
        }
        if !shows || !value.contains("{{") || value.contains('(') {
            continue;
        }
        let script = script.get_or_insert_with(|| Script::beside(path));
        let filled = names(value).into_iter().find_map(|shown| {
            let lists = items
                .iter()
                .filter(|(item, _)| *item == shown)
                .map(|(_, list)| *list);
            std::iter::once(shown)
                .chain(lists)
                .find_map(|name| Some((name, script.filled(name)?)))
        });
        if let Some((shown, place)) = filled {
            let place = match place {
                Some((file, line)) => wording!(
                    ": {file}:{line} sets `{shown}` to one",
                    "（{file}:{line} 把 `{shown}` 设成了文件 ID）"
                ),
                None => Wording::default(),
            };
            hint(
                wording!(
                    "<{element} {name}=\"{value}\"> may be a file id{place}; WeChat looks for those in its own cloud alone",
                    "<{element} {name}=\"{value}\"> 可能是文件 ID{place}；微信只会在自己的云存储里查找"; place
                ),
                mend.of_attribute(name),
                None,
            );
        }
    }
}

/// Looks through a style sheet.
fn style_sheet(path: &Path, text: &str, found: &mut Vec<Diagnosis>) {
    let text = without_comments(text);
    for at in urls(&text) {
        found.push(Diagnosis::new(
            path,
            Some(line_of(&text, at)),
            wording!(
                "a url() is a file id, which WeChat looks for in its own cloud alone: it is not shown from here",
                "url() 里是文件 ID，微信只会在自己的云存储里查找：这里的文件显示不出来"
            ),
            wording!(
                "write the file's https address, or set the background in the markup's style by wx.cloud.cloudUrl(id) or getTempFileURL: a style sheet can ask for nothing",
                "请写文件的 https 网址，或用 wx.cloud.cloudUrl(id) 或 getTempFileURL 在 WXML 的 style 里设置背景：样式表自己取不到网址"
            ),
        ));
    }
}

/// The text with blanks in the place of `/* … */`.
fn without_comments(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut from = 0;
    while let Some(start) = text[from..].find("/*").map(|at| from + at) {
        let inner = start + 2;
        let end = text[inner..].find("*/").map_or(text.len(), |at| inner + at + 2);
        for byte in bytes[start..end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        from = end;
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Where file ids stand in `url(…)`.
fn urls(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices("url(").filter_map(|(at, name)| {
        let rest = &text[at + name.len()..];
        let inner = rest
            .trim_start()
            .trim_start_matches(['"', '\'', '{'])
            .trim_start_matches(['"', '\'']);
        inner.starts_with(ID).then_some(at)
    })
}

/// Whether an expression in `{{…}}` has a file id written out.
fn has_literal_id(value: &str) -> bool {
    let in_quotes = |quote: char| value.contains(&format!("{quote}{ID}"));
    value.contains("{{") && !value.contains('(') && (in_quotes('\'') || in_quotes('"'))
}

/// The names by which the expressions of a value end: of `{{item.cover || cover}}` these are `cover` and `cover`, and of
/// `{{list[0].a}}` it is `a`.
fn names(value: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for piece in value.split("{{").skip(1) {
        let expression = piece.split("}}").next().unwrap_or_default();
        let is_path = |char: char| char.is_alphanumeric() || "_$.[]".contains(char);
        for path in expression.split(|char| !is_path(char)) {
            let last = path.split('.').next_back().unwrap_or_default();
            let last = last.split('[').next().unwrap_or_default();
            if last.starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '$') {
                names.push(last);
            }
        }
    }
    names
}

/// The attributes of all elements, in their order; what stands in comments and in `<wxs>` is no element.
fn attributes(text: &str) -> Vec<Attribute<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('<').map(|open| at + open) {
        let rest = &text[start..];
        if rest.starts_with("<!--") {
            at = rest.find("-->").map_or(text.len(), |end| start + end + 3);
            continue;
        }
        let is_name = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        let length = rest[1..].find(|char| !is_name(char)).unwrap_or(rest.len() - 1);
        let element = &rest[1..=length];
        at = start + 1 + length;
        if element.is_empty() {
            continue;
        }
        at = attributes_of(text, element, at, &mut found);
        if element == "wxs" && !text[..at].ends_with("/>") {
            at = text[at..].find("</wxs").map_or(text.len(), |end| at + end);
        }
    }
    found
}

/// Reads the attributes of one element, and gives where it ends.
fn attributes_of<'t>(
    text: &'t str,
    element: &'t str,
    mut at: usize,
    found: &mut Vec<Attribute<'t>>,
) -> usize {
    let of = at;
    loop {
        let rest = &text[at..];
        let Some(begin) = rest
            .find(|char: char| !char.is_whitespace())
            .map(|blank| at + blank)
        else {
            return text.len();
        };
        let rest = &text[begin..];
        if rest.starts_with('>') {
            return begin + 1;
        }
        let length = rest
            .find(|char: char| char.is_whitespace() || "=>/".contains(char))
            .unwrap_or(rest.len());
        if length == 0 {
            // `/`, or an `=` without a name.
            at = begin + 1;
            continue;
        }
        let name = &rest[..length];
        at = begin + length;
        let Some(value) = text[at..].trim_start().strip_prefix('=') else {
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote));
        at = text.len() - value.len();
        let Some(quote) = quote else { continue };
        let Some(end) = value[1..].find(quote) else {
            return text.len();
        };
        found.push(Attribute {
            element,
            of,
            name,
            value: &value[1..=end],
            at: at + 1..at + 1 + end,
        });
        at += end + 2;
    }
}

/// How a markup file makes addresses already, if it does: its module of `cloud.wxs`, and the endpoint that it gives to it.
struct Addresser<'t> {
    text: &'t str,
    call: Option<String>,
}

impl<'t> Addresser<'t> {
    fn of(text: &'t str, attributes: &[Attribute<'_>]) -> Self {
        let source = attributes.iter().find(|attribute| {
            attribute.element == "wxs" && attribute.name == "src" && attribute.value.ends_with("cloud.wxs")
        });
        let module = source.and_then(|source| {
            let mut attributes = attributes.iter();
            attributes.find(|attribute| attribute.of == source.of && attribute.name == "module")
        });
        let call = module.and_then(|module| {
            let call = format!("{}.url(", module.value);
            let begin = text.find(&call)?;
            let endpoint = text[begin + call.len()..].split(',').next()?.trim();
            let plain = !endpoint.is_empty() && !endpoint.contains(['(', ')', '{', '}', '"', '\n']);
            plain.then(|| format!("{call}{endpoint}, "))
        });
        Self { text, call }
    }

    /// The file makes addresses already: one that is written out becomes another such call.
    fn cure(&self, path: &Path, attribute: &Attribute<'_>) -> Option<Cure> {
        let call = self.call.as_ref()?;
        let id = attribute.value;
        // The call has the other quotes in it.
        let in_double_quotes = self.text[..attribute.at.start].ends_with('"');
        if !in_double_quotes || !id.starts_with(ID) || id.contains(['\'', '{', '}', '\\', '"', '\n']) {
            return None;
        }
        Some(Cure {
            file: path.to_owned(),
            edit: Edit::Replace {
                at: attribute.at.clone(),
                from: id.to_owned(),
                to: format!("{{{{{call}'{id}')}}}}"),
            },
        })
    }
}

/// What the script of a page sets to file ids.
struct Script {
    name: String,
    /// The names, with the line of the first place.
    filled: BTreeMap<String, usize>,
}

impl Script {
    /// The script that stands beside a WXML file.
    fn beside(markup: &Path) -> Self {
        let found = ["js", "ts"].into_iter().find_map(|ending| {
            let path = markup.with_extension(ending);
            Some((
                path.file_name()?.to_string_lossy().into_owned(),
                pages::read(&path)?,
            ))
        });
        let Some((name, text)) = found else {
            return Self {
                name: String::new(),
                filled: BTreeMap::new(),
            };
        };
        Self {
            name,
            filled: filled(&text),
        }
    }

    /// Where this name is set to a file id; the place is `None` where the name alone says what it is.
    fn filled(&self, name: &str) -> Option<Option<(&str, usize)>> {
        if let Some(line) = self.filled.get(name) {
            return Some(Some((&self.name, *line)));
        }
        is_file_id(name).then_some(None)
    }
}

fn is_file_id(name: &str) -> bool {
    FILE_IDS.contains(&name.to_ascii_lowercase().as_str())
}

/// The names that a script sets to what looks like a file id: `avatar: 'cloud://…'`, `avatar = res.fileID`,
/// `list.push(res.fileID)`, `'user.avatar': res.fileID`.
fn filled(text: &str) -> BTreeMap<String, usize> {
    let tokens = tokens(text);
    let mut filled = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let sign = |back: usize| tokens.get(at + back).map(|token| token.kind);
        let (name, from) = match (token.kind, sign(1), sign(2)) {
            (TokenKind::Word(name) | TokenKind::Text(name), Some(TokenKind::Sign(':')), _) => (name, at + 2),
            (TokenKind::Word(name), Some(TokenKind::Sign('=')), Some(next))
                if next != TokenKind::Sign('=') =>
            {
                (name, at + 2)
            }
            (
                TokenKind::Word(name),
                Some(TokenKind::Sign('.')),
                Some(TokenKind::Word("push" | "unshift" | "concat")),
            ) => (name, at + 4),
            _ => continue,
        };
        let mut depth = 0_usize;
        let mut is_id = false;
        for token in tokens.iter().skip(from).take(MOST_TOKENS_OF_A_VALUE) {
            match token.kind {
                TokenKind::Sign('(' | '[') => depth += 1,
                TokenKind::Sign(')' | ']') if depth > 0 => depth -= 1,
                TokenKind::Sign(')' | ']' | '{' | '}' | ';') => break,
                TokenKind::Sign(',') if depth == 0 => break,
                TokenKind::Text(text) => is_id |= text.starts_with(ID),
                TokenKind::Word(word) if ADDRESSES.contains(&word.to_ascii_lowercase().as_str()) => {
                    is_id = false;
                    break;
                }
                TokenKind::Word(word) => is_id |= is_file_id(word),
                _ => {}
            }
        }
        // `'user.avatar'` and `'list[0].cover'` set a part.
        let name = name.split('.').next_back().unwrap_or_default();
        let name = name.split('[').next().unwrap_or_default();
        if is_id && !name.is_empty() {
            filled.entry(name.to_owned()).or_insert(token.line);
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn attributes_are_found_wherever_they_stand() {
        let text = "<!-- <image src=\"cloud://a\"/> -->\n<view wx:if=\"{{a > b}}\" hidden><image\n src = 'x' mode=\"fill\"/></view>\n\
                    <wxs module=\"m\">var a = '<image src=\"cloud://b\">'</wxs><text>1 < 2</text><video src=\"y\"></video><image src=\"";
        let found: Vec<_> = attributes(text)
            .iter()
            .map(|attribute| {
                format!(
                    "{} {}={} @{}",
                    attribute.element,
                    attribute.name,
                    &text[attribute.at.clone()],
                    line_of(text, attribute.at.start)
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "view wx:if={{a > b}} @2",
                "image src=x @3",
                "image mode=fill @3",
                "wxs module=m @4",
                "video src=y @4"
            ]
        );
    }

    #[test]
    fn names_of_expressions_are_their_last_parts() {
        for (value, expected) in [
            ("{{avatar}}", &["avatar"][..]),
            ("{{item.cover || cover}}", &["cover", "cover"]),
            ("{{list[0].a}}-{{b[1]}}", &["a", "b"]),
            ("{{a ? 1 : 2}}", &["a"]),
            ("plain", &[]),
            ("{{", &[]),
        ] {
            assert_eq!(names(value), expected, "{value}");
        }
    }

    #[test]
    fn a_name_is_filled_by_what_looks_like_a_file_id_and_by_no_address() {
        for (text, expected) in [
            (
                "Page({ data: { cover: 'cloud://e.b/a.png', n: 1 } })",
                &["cover"][..],
            ),
            ("this.setData({ avatar: res.fileID })", &["avatar"]),
            ("this.setData({ 'user.avatar': res.fileID, b: 2 })", &["avatar"]),
            ("page.cover = upload.fileID", &["cover"]),
            ("this.images.push(res.fileID)", &["images"]),
            (
                "this.setData({ images: this.data.images.concat([fileID]) })",
                &["images"],
            ),
            ("this.setData({ url: res.fileList[0].tempFileURL })", &[]),
            ("this.setData({ url: wx.cloud.cloudUrl(res.fileID) })", &[]),
            ("if (a == fileID) {}", &[]),
            ("// cover: 'cloud://e.b/a.png'", &[]),
        ] {
            let names: Vec<_> = filled(text).into_keys().collect();
            assert_eq!(names, expected, "{text}");
        }
    }

    #[test]
    fn a_style_is_searched_without_its_comments() {
        let text = "/* url(cloud://a) */ .a { background: url( \"cloud://e.b/c.png\" ) }\n.b{background:url(https://x/cloud://)}";
        let plain = without_comments(text);
        assert_eq!(urls(&plain).count(), 1);
        assert_eq!(line_of(&plain, urls(&plain).next().unwrap()), 1);
    }
}

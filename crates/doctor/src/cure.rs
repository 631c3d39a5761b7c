//! Edits to `config.json`, `package.json` and markup that leave the rest of the file as it is: indentation, order, line ends, a byte
//! order mark.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    ops::Range,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use function::LOCKS;
use jsonc_parser::{
    ParseOptions,
    cst::{CstArray, CstInputValue, CstObject, CstRootNode},
};
use project::files;
use wording::{Wording, wording};

use crate::CureError;

/// What cures a diagnosis.
#[derive(Clone, Debug)]
pub(crate) struct Cure {
    /// The file to edit; made if it is not there.
    pub(crate) file: PathBuf,
    pub(crate) edit: Edit,
}

/// One change to a file.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Add a name to `permissions.openapi`.
    Permit(String),
    /// Remove these, wherever they stand.
    Forbid(Vec<String>),
    /// Write another instead, or remove it if that one is there.
    Rename { from: String, to: String },
    /// Remove all of it but the first.
    Unrepeat(String),
    /// Ask for a package in `dependencies`.
    Depend { package: String, version: String },
    /// Write something else at a place of a text.
    Replace {
        at: Range<usize>,
        from: String,
        to: String,
    },
}

/// Makes the edits in a file, and says what each did.
pub(crate) fn edit<'e>(
    path: &Path,
    edits: impl Iterator<Item = &'e Edit> + Clone,
) -> Result<Vec<Wording>, CureError> {
    if edits.clone().all(|edit| matches!(edit, Edit::Replace { .. })) {
        return edit_text(path, edits);
    }
    let failed = |cause| CureError::File {
        path: path.to_owned(),
        cause,
    };
    let changed = |what: Wording| CureError::Changed {
        path: path.to_owned(),
        what,
    };
    let before = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}\n".to_vec(),
        Err(error) => return Err(failed(error)),
    };
    files::json_object(&before).map_err(|fault| changed(fault.what))?;
    let text = files::text(&before).map_err(|fault| changed(fault.what))?;
    let root =
        CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| changed(Wording::as_is(error)))?;
    let object = root.object_value().ok_or_else(|| changed(files::no_object()))?;
    let mut done = Vec::new();
    for edit in edits {
        done.push(edit.apply(&object).map_err(changed)?);
    }
    let mark = byte_order_mark(&before);
    let after = format!("{mark}{root}");
    if after.as_bytes() != before {
        replace(path, after.as_bytes()).map_err(failed)?;
    }
    let has_lock = || LOCKS.iter().any(|lock| path.with_file_name(lock).is_file());
    if path.ends_with("package.json") && has_lock() {
        done.push(wording!(
            "the lock file beside it is now out of date: run `npm install` there",
            "旁边的 lock 文件已过期：请在那里执行 `npm install`"
        ));
    }
    Ok(done)
}

/// The byte order mark of a text, or nothing.
pub(crate) fn byte_order_mark(text: &[u8]) -> &'static str {
    const MARK: &str = "\u{feff}";
    if text.starts_with(MARK.as_bytes()) {
        MARK
    } else {
        ""
    }
}

/// Makes replacements in a text, from its end to its beginning: those before are where they were.
fn edit_text<'e>(path: &Path, edits: impl Iterator<Item = &'e Edit>) -> Result<Vec<Wording>, CureError> {
    let failed = |cause| CureError::File {
        path: path.to_owned(),
        cause,
    };
    let mut bytes = fs::read(path).map_err(failed)?;
    let mut replacements: Vec<_> = edits
        .filter_map(|edit| match edit {
            Edit::Replace { at, from, to } => Some((at, from, to)),
            _ => None,
        })
        .collect();
    replacements.sort_by_key(|(at, ..)| std::cmp::Reverse(at.start));
    let mut done = Vec::new();
    for (at, from, to) in replacements {
        if bytes.get(at.clone()) != Some(from.as_bytes()) {
            return Err(CureError::Changed {
                path: path.to_owned(),
                what: wording!("{from} is not where it was", "{from} 已不在原来的位置"),
            });
        }
        bytes.splice(at.clone(), to.bytes());
        done.insert(
            0,
            wording!("wrote {to} instead of {from}", "已把 {from} 改为 {to}"),
        );
    }
    replace(path, &bytes).map_err(failed)?;
    Ok(done)
}

/// Puts a new content in the place of a file as a whole, so that whoever reads it meanwhile, or a crash, finds one or the
/// other. A link stays a link, and the file's mode stays.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut new = tempfile::Builder::new()
        .prefix(".doctor-")
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    new.write_all(content)?;
    let permissions = match fs::metadata(&path) {
        Ok(metadata) => metadata.permissions(),
        // As any file that an editor makes.
        Err(_) => Permissions::from_mode(0o644),
    };
    new.as_file().set_permissions(permissions)?;
    new.persist(&path)?;
    Ok(())
}

impl Edit {
    /// What was done, or why it cannot be.
    fn apply(&self, root: &CstObject) -> Result<Wording, Wording> {
        let done = match self {
            Self::Permit(name) => {
                let list = permissions(root)?;
                if places(&list, name).is_empty() {
                    append(&list, name);
                }
                wording!(
                    "added \"{name}\" to permissions.openapi",
                    "已在 permissions.openapi 里加上 \"{name}\""
                )
            }
            Self::Forbid(names) => {
                let list = permissions(root)?;
                for name in names {
                    remove(&list, name, 0);
                }
                let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
                let (names_en, names_zh) = (quoted.join(", "), quoted.join("、"));
                wording!(
                    "removed {names_en} from permissions.openapi",
                    "已从 permissions.openapi 里删掉 {names_zh}"
                )
            }
            Self::Unrepeat(name) => {
                remove(&permissions(root)?, name, 1);
                wording!(
                    "removed the second \"{name}\" from permissions.openapi",
                    "已从 permissions.openapi 里删掉重复的 \"{name}\""
                )
            }
            Self::Rename { from, to } => {
                let list = permissions(root)?;
                let is_there = !places(&list, to).is_empty();
                let first = places(&list, from).into_iter().next();
                if let (false, Some(literal)) = (
                    is_there,
                    first.and_then(|place| list.elements().get(place)?.as_string_lit()),
                ) {
                    literal.replace_with(CstInputValue::from(to.as_str()));
                }
                remove(&list, from, 0);
                if is_there {
                    wording!(
                        "removed \"{from}\" from permissions.openapi, where \"{to}\" is listed",
                        "已从 permissions.openapi 里删掉 \"{from}\"，那里已有 \"{to}\""
                    )
                } else {
                    wording!(
                        "wrote \"{to}\" instead of \"{from}\" in permissions.openapi",
                        "已把 permissions.openapi 里的 \"{from}\" 改为 \"{to}\""
                    )
                }
            }
            Self::Depend { package, version } => {
                let list = root
                    .object_value_or_create("dependencies")
                    .ok_or_else(|| wording!("`dependencies` is no object", "`dependencies` 不是对象"))?;
                match list.get(package) {
                    Some(there) => there.set_value(CstInputValue::from(version.as_str())),
                    None => insert_sorted(&list, package, version),
                }
                // Listed in both, npm would take it for one that only its author needs.
                if let Some(dev) = root
                    .object_value("devDependencies")
                    .and_then(|list| list.get(package))
                {
                    dev.remove();
                }
                wording!(
                    "wrote \"{package}\": \"{version}\" into dependencies",
                    "已在 dependencies 里写上 \"{package}\": \"{version}\""
                )
            }
            Self::Replace { .. } => return Err(files::no_object()),
        };
        Ok(done)
    }
}

/// `permissions.openapi`, made if it is not there.
fn permissions(root: &CstObject) -> Result<CstArray, Wording> {
    root.object_value_or_create("permissions")
        .ok_or_else(|| wording!("`permissions` is no object", "`permissions` 不是对象"))?
        .array_value_or_create("openapi")
        .ok_or_else(|| {
            wording!(
                "`permissions.openapi` is no array",
                "`permissions.openapi` 不是数组"
            )
        })
}

/// Where a name stands in the list.
fn places(list: &CstArray, name: &str) -> Vec<usize> {
    let is_it =
        |literal: jsonc_parser::cst::CstStringLit| literal.decoded_value().is_ok_and(|text| text == name);
    let elements = list.elements().into_iter().enumerate();
    elements
        .filter_map(|(place, element)| element.as_string_lit().is_some_and(is_it).then_some(place))
        .collect()
}

/// Removes a name from the list wherever it stands, but for the first `kept` times.
fn remove(list: &CstArray, name: &str, kept: usize) {
    for place in places(list, name).into_iter().skip(kept).rev() {
        if let Some(element) = list.elements().into_iter().nth(place) {
            element.remove();
        }
    }
}

/// Adds a name at the end; a list that was empty gets a line for each, as DevTools writes it.
fn append(list: &CstArray, name: &str) {
    if list.elements().is_empty() {
        list.ensure_multiline();
    }
    list.append(CstInputValue::from(name));
}

/// Adds a package where npm would: in the order of names.
fn insert_sorted(list: &CstObject, package: &str, version: &str) {
    let names = list.properties();
    let place = names
        .iter()
        .position(|property| {
            property
                .decoded_name()
                .is_some_and(|name| name.as_str() > package)
        })
        .unwrap_or(names.len());
    list.insert(place, package, CstInputValue::from(version));
}

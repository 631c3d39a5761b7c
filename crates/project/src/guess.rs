//! What a repository lacks that says where things lie: many leave `project.config.json` out, or have it name a folder by an older
//! name. Then things are looked for where people have them, and what was taken is told.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    files,
    miniprogram::{self, MiniProgram},
};

/// Names of folders in which people keep cloud functions, in small letters and without `-` and `_`; the likeliest first.
const FUNCTIONS: [&str; 5] = [
    "cloudfunctions",
    "cloudfunction",
    "functions",
    "cloudfuncs",
    "cloud",
];
/// How deep such a folder may lie.
const DEPTH: usize = 2;
/// How much of a file is looked at.
const LOOKED_AT: u64 = 64 << 10;
/// What stands in a cloud function, and in nothing else that a Mini Program has.
const MARKS: [&str; 5] = [
    "exports.main",
    "wx-server-sdk",
    "@cloudbase/node-sdk",
    "export const main",
    "export async function main",
];

/// The name of the file in which a Mini Program lists its pages.
const APP: &str = "app.json";
/// Folders in which it lies, where it does not lie in the project's own.
const PAGES: [&str; 2] = ["miniprogram", "src"];

/// The folder of cloud functions below `root` that no file names, or that has another name than `named`.
pub(crate) fn functions_root(root: &Path, named: Option<&str>) -> Option<PathBuf> {
    let named = named.and_then(|named| Some(plain(Path::new(named).file_name()?)));
    let mut found = Vec::new();
    collect(root, DEPTH, &mut |folder| {
        let name = folder.file_name().map(plain).unwrap_or_default();
        let rank = match FUNCTIONS.iter().position(|known| *known == name) {
            _ if named.as_ref() == Some(&name) => 0,
            Some(rank) => rank + 1,
            None => return,
        };
        if holds_functions(folder) {
            found.push((rank, folder.components().count(), folder.to_owned()));
        }
    });
    found.sort();
    found
        .into_iter()
        .next()
        .map(|(_, _, folder)| files::tidy(&folder))
}

/// Whether a folder is a part of a project whose file lies above it: its pages, or a function.
pub(crate) fn is_inside_of_another(root: &Path) -> bool {
    let inside = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let mut above = inside.ancestors().skip(1).take(DEPTH);
    above.any(miniprogram::is_in)
}

/// A Mini Program without the file that DevTools keeps, known by its `app.json`.
pub(crate) fn mini_program(root: &Path) -> Option<MiniProgram> {
    let pages_root = match lists_pages(root) {
        true => None,
        false => Some(PAGES.iter().find(|folder| lists_pages(&root.join(folder)))?),
    };
    Some(MiniProgram {
        pages_root: pages_root.map(|folder| (*folder).to_owned()),
        ..MiniProgram::default()
    })
}

/// Whether a folder holds such a Mini Program.
pub(crate) fn is_bare(folder: &Path) -> bool {
    mini_program(folder).is_some()
}

fn lists_pages(folder: &Path) -> bool {
    let read = fs::read(folder.join(APP)).ok();
    let object = read.and_then(|bytes| files::json_object(&bytes).ok());
    object.is_some_and(|app| matches!(app.get("pages"), Some(Value::Array(_))))
}

/// A name as it is compared: people write `cloudFunctions` and `cloud-functions`.
fn plain(name: &OsStr) -> String {
    let name = name.to_string_lossy().to_lowercase();
    name.chars().filter(|char| !matches!(char, '-' | '_')).collect()
}

fn collect(folder: &Path, depth: usize, found: &mut impl FnMut(&Path)) {
    for folder in folders(folder) {
        found(&folder);
        if depth > 1 {
            collect(&folder, depth - 1, found);
        }
    }
}

/// Whether a folder in this one is a cloud function by what stands in it.
fn holds_functions(folder: &Path) -> bool {
    let is_function = |folder: &PathBuf| {
        ["index.js", "index.mjs", "index.ts"]
            .iter()
            .any(|name| is_of_function(&folder.join(name)))
    };
    folders(folder).iter().any(is_function)
}

fn is_of_function(file: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    read.is_ok() && MARKS.iter().any(|mark| text.contains(mark))
}

/// The folders in a folder that may hold source, in order.
pub(crate) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let is_source = name != "node_modules" && !name.as_encoded_bytes().starts_with(b".");
            is_source && entry.file_type().is_ok_and(|kind| kind.is_dir())
        })
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

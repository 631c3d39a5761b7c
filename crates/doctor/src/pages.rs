//! The files of a Mini Program's own pages: what is below its folder and is neither a function, nor installed, nor built for the web.

use std::{
    fs,
    path::{Path, PathBuf},
};

use project::Project;

/// Larger files are bundles.
const LARGEST: u64 = 2 << 20;
/// The most files that are looked at.
const MOST_FILES: usize = 5_000;

/// The files whose names have a wanted ending, sorted.
pub(crate) fn files(project: &Project, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut left_out: Vec<PathBuf> = project.functions_root.iter().cloned().collect();
    let built = project.settings.web.site.pages.iter();
    left_out.extend(built.map(|page| page.folder.clone()));
    left_out.extend(
        project
            .functions
            .values()
            .map(|listed| listed.function.dir.clone()),
    );
    let mut found = Vec::new();
    collect(&project.miniprogram_root, &left_out, &is_wanted, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, left_out: &[PathBuf], is_wanted: &impl Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                let installed = name == "node_modules" || name == "miniprogram_npm";
                if !hidden && !installed && !left_out.contains(&path) {
                    collect(&path, left_out, is_wanted, found);
                }
            }
            Ok(kind) if kind.is_file() && found.len() < MOST_FILES => {
                let ending = path.extension().and_then(|ending| ending.to_str());
                if ending.is_some_and(is_wanted) {
                    found.push(path);
                }
            }
            _ => {}
        }
    }
}

/// The text of such a file. `None` where it is none in UTF-8: places are told and edited by its bytes.
pub(crate) fn read(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() as u64 <= LARGEST)
}

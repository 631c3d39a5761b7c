//! Where things lie on this machine.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use project::{Project, ProjectError, Scope};

use crate::{lang::say, simulated};

/// The project in `dir`. From within a project's folder, where `dir` is left out, its own.
pub(crate) fn project(dir: &Path) -> Result<Project, ProjectError> {
    let project = project_in(dir, Scope::Whole)?;
    simulated::check(&project, &project.root.join("yunqiao.toml"))?;
    Ok(project)
}

/// The same, of so much of it; what is declared of the simulated WeChat is not looked at.
pub(crate) fn project_in(dir: &Path, scope: Scope) -> Result<Project, ProjectError> {
    let open = |dir: &Path| Project::open_in(dir, scope);
    let opened = open(dir);
    let Err(ProjectError::NotAProject { .. }) = &opened else {
        return opened;
    };
    let here = (dir == Path::new(".")).then(|| env::current_dir().ok()).flatten();
    let above = here.iter().flat_map(|here| here.ancestors().skip(1));
    let found = above
        .map(open)
        .find(|found| !matches!(found, Err(ProjectError::NotAProject { .. })));
    found.unwrap_or(opened)
}

/// Where installed dependencies are kept, for all projects: `YUNQIAO_CACHE`, else the platform's place.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = set("YUNQIAO_CACHE") {
        return std::path::absolute(dir)
            .with_context(|| say!("YUNQIAO_CACHE is not a path", "YUNQIAO_CACHE 不是路径"));
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Ok(dir.join("yunqiao"));
    }
    let home = set("HOME").with_context(|| {
        say!(
            "HOME is not set; say with YUNQIAO_CACHE where dependencies may be kept",
            "没有设置 HOME；请用 YUNQIAO_CACHE 写明依赖可以存放在哪里"
        )
    })?;
    Ok(home.join(if cfg!(target_os = "macos") {
        "Library/Caches/yunqiao"
    } else {
        ".cache/yunqiao"
    }))
}

/// The `node` that `PATH` finds.
pub(crate) fn node() -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find("node", &path).with_context(|| {
        say!(
            "there is no `node` on the PATH; install Node.js 18 or later (https://nodejs.org)",
            "PATH 里没有 `node`；请安装 Node.js 18 或更高版本（https://nodejs.org）"
        )
    })
}

fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

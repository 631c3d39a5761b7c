//! npm as it is run here: under a guard, in an environment of its own, within a bounded time; and what its failure means.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncReadExt, process::Command};

/// How long one installation may take.
const WITHIN: Duration = Duration::from_secs(180);
/// Lines of npm's that are shown when it fails.
const MOST_LINES: usize = 12;
/// What of the environment npm and the scripts of packages get: a way out, and where things are. Not what this program was
/// given: an AppSecret, the operator's secret, a cloud's keys.
const KEPT: [&str; 21] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "NVM_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PYTHON",
];
/// Configuration of npm itself.
const CONFIGURATION: &str = "npm_config_";
/// Do not wait for minutes for a registry that does not answer.
const PATIENCE: [&str; 4] = [
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
    "--fetch-timeout=30000",
];

/// npm's codes for a package, or a version of it, that is not in the registry.
const NOT_THERE: [&str; 2] = ["E404", "ETARGET"];
/// Its codes, which are Node's, for a host that is not found, or does not answer.
const UNREACHABLE: [&str; 8] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ETIMEDOUT",
    "ERR_SOCKET_TIMEOUT",
];

/// How npm is run.
#[derive(Debug)]
pub(crate) struct Npm {
    /// The Node for which packages are installed; npm is looked for beside it.
    pub(crate) node: PathBuf,
    /// The command that runs a guard.
    pub(crate) guard: Vec<OsString>,
    /// Do not use the network.
    pub(crate) offline: bool,
    /// A folder for the guard, which has nothing to clear away.
    pub(crate) scratch: PathBuf,
    /// The folders where npm may be too, as `PATH` lists them.
    pub(crate) path: Option<OsString>,
}

/// Why npm installed nothing.
#[derive(Debug)]
pub(super) enum NpmError {
    /// There is no npm.
    Missing,
    /// It cannot be run.
    Io(io::Error),
    /// The lock file does not fit the manifest: in which way, as npm says.
    LockDoesNotFit(String),
    /// The registry does not have what is asked for: what npm says of it.
    NotThere(String),
    /// A host cannot be reached: what npm says of it.
    Unreachable(String),
    /// It took too long.
    Late,
    /// It failed: what it said.
    Failed(String),
}

impl From<io::Error> for NpmError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Npm {
    /// Where npm is: beside Node, or on the PATH.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let beside = self.node.with_file_name("npm");
        if beside.is_file() {
            return Some(beside);
        }
        std::env::split_paths(self.path.as_ref()?)
            .map(|folder| folder.join("npm"))
            .find(|npm| npm.is_file())
    }

    /// Installs what the manifest in `draft` names; with `exact` as the lock beside it says, and nothing else.
    pub(super) async fn install(&self, draft: &Path, npmrc: &str, exact: bool) -> Result<(), NpmError> {
        let mut words = vec![if exact { "ci" } else { "install" }];
        words.extend(["--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]);
        words.extend(PATIENCE);
        if !exact {
            words.push("--install-links");
        }
        if self.offline {
            words.push("--offline");
        }
        match self.run(draft, npmrc, &words).await {
            Err(NpmError::Failed(said)) => Err(match misfit(&said) {
                Some(misfit) if exact => NpmError::LockDoesNotFit(misfit),
                _ if has_code(&said, &NOT_THERE) => NpmError::NotThere(reason(&said)),
                _ if has_code(&said, &UNREACHABLE) => NpmError::Unreachable(reason(&said)),
                _ => NpmError::Failed(reason(&said)),
            }),
            other => other.map(|_| ()),
        }
    }

    /// Runs the scripts of the packages that are in `draft`.
    pub(super) async fn run_scripts(&self, draft: &Path, npmrc: &str) -> Result<(), NpmError> {
        let words = ["rebuild", "--loglevel=error"];
        self.run(draft, npmrc, &words).await.map(|_| ())
    }

    /// npm's configuration where it runs in `draft`, as JSON.
    pub(super) async fn config(&self, draft: &Path, npmrc: &str) -> Result<Vec<u8>, NpmError> {
        self.run(draft, npmrc, &["config", "ls", "-l", "--json"]).await
    }

    /// The versions of a package that the registry has.
    pub(super) async fn versions(
        &self,
        draft: &Path,
        npmrc: &str,
        package: &str,
    ) -> Result<Vec<String>, NpmError> {
        let mut words = vec!["view", package, "versions", "--json", "--loglevel=error"];
        words.extend(PATIENCE);
        let printed = self.run(draft, npmrc, &words).await?;
        // Of a single one npm gives the text alone.
        Ok(match serde_json::from_slice(&printed) {
            Ok(Value::Array(all)) => all
                .iter()
                .filter_map(|version| version.as_str().map(str::to_owned))
                .collect(),
            Ok(Value::String(one)) => vec![one],
            _ => Vec::new(),
        })
    }

    /// Gives what npm prints.
    async fn run(&self, draft: &Path, npmrc: &str, words: &[&str]) -> Result<Vec<u8>, NpmError> {
        let npm = self.find().ok_or(NpmError::Missing)?;
        let mut guard = self.guard.iter();
        let program = guard
            .next()
            .ok_or_else(|| io::Error::other("no command for the guard is configured"))?;
        // Under a guard, as workers are: nothing goes on when this process has gone.
        let mut command = Command::new(program);
        command
            .args(guard)
            .arg(&self.scratch)
            .arg(npm)
            .args(words)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_kept(name) || npmrc.contains(&*reference(name))));
        let mut child = command
            .current_dir(draft)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Held until npm has ended: its end is the guard's sign to kill it.
        let control = child.stdin.take();
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let ended = tokio::time::timeout(WITHIN, async {
            let read_out = async {
                if let Some(pipe) = &mut stdout {
                    let _ = pipe.read_to_end(&mut out).await;
                }
            };
            let read_errors = async {
                if let Some(pipe) = &mut stderr {
                    let _ = pipe.read_to_end(&mut errors).await;
                }
            };
            tokio::join!(child.wait(), read_out, read_errors).0
        })
        .await;
        drop(control);
        let status = ended.map_err(|_| NpmError::Late)??;
        if status.success() {
            return Ok(out);
        }
        errors.extend_from_slice(b"\n");
        errors.extend_from_slice(&out);
        Err(NpmError::Failed(String::from_utf8_lossy(&errors).into_owned()))
    }
}

fn is_kept(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    KEPT.contains(&&*name) || name.starts_with("LC_") || name.to_ascii_lowercase().starts_with(CONFIGURATION)
}

/// How an `.npmrc` names a variable.
fn reference(name: &OsStr) -> String {
    format!("${{{}}}", name.to_string_lossy())
}

/// What does not fit, where `npm ci` refuses a lock file for that.
fn misfit(said: &str) -> Option<String> {
    if !said.contains("npm ci` can only install") {
        return None;
    }
    let lines: Vec<&str> = lines_of_npm(said)
        .filter(|line| line.starts_with("Missing:") || line.starts_with("Invalid:"))
        .take(3)
        .collect();
    Some(lines.join("; "))
}

/// Whether npm gives one of these codes as the cause.
fn has_code(said: &str, codes: &[&str]) -> bool {
    lines_of_npm(said).any(|line| {
        line.strip_prefix("code ")
            .is_some_and(|code| codes.contains(&code))
    })
}

/// What npm says about the cause of a failure: its own lines, the first of them, with the code.
fn reason(said: &str) -> String {
    let own: Vec<&str> = lines_of_npm(said).take(MOST_LINES).collect();
    if !own.is_empty() {
        return own.join("\n  ");
    }
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(MOST_LINES)..);
    last.unwrap_or_default().join("\n  ")
}

/// Lines that npm marks as errors, without the mark and without those that say nothing of the cause.
fn lines_of_npm(said: &str) -> impl Iterator<Item = &str> {
    said.lines()
        .filter_map(|line| {
            line.strip_prefix("npm error")
                .or_else(|| line.strip_prefix("npm ERR!"))
        })
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("complete log of this run can be found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_is_told_little_of_this_process() {
        let kept = |name: &str| is_kept(OsStr::new(name));
        assert!(kept("PATH") && kept("npm_config_registry") && kept("NPM_CONFIG_CACHE") && kept("LC_ALL"));
        for secret in [
            "YUNQIAO_APPSECRET",
            "YUNQIAO_OPERATOR_SECRET",
            "AWS_SECRET_ACCESS_KEY",
            "NPM_TOKEN",
        ] {
            assert!(!kept(secret), "{secret}");
        }
    }

    #[test]
    fn the_reason_is_npms_own() {
        let said = "some script said this\nnpm error code E404\nnpm error 404 Not Found - GET https://x/nope\nnpm error\n\
            npm error A complete log of this run can be found in: /x.log\n";
        assert_eq!(reason(said), "code E404\n  404 Not Found - GET https://x/nope");
        assert_eq!(reason("one\n\ntwo\n"), "one\n  two");
        let said = "npm ERR! code EUSAGE\nnpm ERR! `npm ci` can only install packages when your package.json and package-lock.json are in sync.\n\
            npm ERR! Missing: b@1.0.0 from lock file\nnpm ERR! Usage:\n";
        assert_eq!(misfit(said).as_deref(), Some("Missing: b@1.0.0 from lock file"));
        assert_eq!(misfit("npm error code E404"), None);
    }
}

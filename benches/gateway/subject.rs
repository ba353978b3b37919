//! Who is measured: the model itself, nginx before it, and neverdark before it, each with what its process takes.

use crate::{Trouble, machine::Pinning, model::Model};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const NGINX: &str = "/usr/sbin/nginx";
/// The kernel counts CPU time for people in hundredths of a second, on every machine (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// So long for nginx to end by itself, in steps.
const GOODBYE: (u32, Duration) = (200, Duration::from_millis(10));

/// The sorts of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Nginx,
    Neverdark,
    /// Neverdark with a first provider that always refuses, and no breaker: every turn goes to the second.
    Failover,
    /// The same with the breaker as it is by default.
    FailoverWithBreaker,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Neverdark => "neverdark",
            Self::Failover => "no breaker",
            Self::FailoverWithBreaker => "breaker as by default",
        }
    }
}

/// What is needed to start one.
pub(crate) struct Setting<'a> {
    pub(crate) program: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) pinning: &'a Pinning,
    pub(crate) model: &'a Model,
    pub(crate) refusing: &'a Model,
}

/// Where to ask, and the process behind it; it ends with this value.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Option<Process>,
}

struct Process {
    child: Child,
    log: PathBuf,
    /// How to ask it to end, when killing it would leave its children behind.
    stop: Option<Command>,
}

impl Subject {
    pub(crate) fn start(kind: Kind, setting: &Setting<'_>) -> Result<Self, Trouble> {
        let Setting { folder, model, refusing, .. } = setting;
        let (address, process) = match kind {
            Kind::Direct => (model.address, None),
            Kind::Nginx | Kind::Neverdark | Kind::Failover | Kind::FailoverWithBreaker => {
                let address = free_address()?;
                let folder = tempfile::tempdir_in(folder)?.keep();
                let (command, stop) = match kind {
                    Kind::Nginx => nginx(setting, &folder, address)?,
                    Kind::Direct | Kind::Neverdark => neverdark(setting, &folder, address, &[model], "")?,
                    Kind::Failover => {
                        let breaker = "breaker = { failures = 4000000000, min_calls = 4000000000 }\n";
                        neverdark(setting, &folder, address, &[refusing, model], breaker)?
                    }
                    Kind::FailoverWithBreaker => {
                        neverdark(setting, &folder, address, &[refusing, model], "")?
                    }
                };
                (address, Some(Process::start(command, stop, &folder)?))
            }
        };
        Ok(Self { kind, address, process })
    }

    /// CPU time that it used so far, in seconds; none without a process.
    pub(crate) fn cpu(&self) -> Option<f64> {
        self.process.as_ref().map(|it| it.pids().into_iter().filter_map(cpu).sum())
    }

    /// Resident memory now and at most, in KiB.
    pub(crate) fn memory(&self) -> Option<(u64, u64)> {
        let pids = self.process.as_ref()?.pids();
        let sum = |name| pids.iter().filter_map(|&pid| memory(pid, name)).sum();
        Some((sum("VmRSS:"), sum("VmHWM:")))
    }

    /// Why it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let process = self.process.as_mut()?;
        let status = process.child.try_wait().ok()??;
        let log = fs::read_to_string(&process.log).unwrap_or_default();
        let beginning: String = log.chars().take(600).collect();
        Some(format!("it ended with {status}: {}", beginning.trim()))
    }
}

/// An address that nobody listens on now.
fn free_address() -> Result<SocketAddr, Trouble> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

type Commands = (Command, Option<Command>);

fn nginx(setting: &Setting<'_>, folder: &Path, address: SocketAddr) -> Result<Commands, Trouble> {
    if !Path::new(NGINX).exists() {
        return Err(format!("there is no {NGINX}; `apt-get install nginx` brings it").into());
    }
    let (dir, model, file) = (folder.display(), setting.model.address, folder.join("nginx.conf"));
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n\
         \x20 fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n\
         \x20 keepalive_requests 1000000000;\n\
         \x20 upstream model {{ server {model}; keepalive 1100; keepalive_requests 1000000000; }}\n\
         \x20 server {{\n    listen {address} backlog=1100;\n    location / {{\n      proxy_pass http://model;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_buffering off;\n    }}\n  }}\n}}\n"
    );
    fs::write(&file, text)?;
    let arguments = |command: &mut Command| {
        command.arg("-e").arg(folder.join("start.log")).arg("-c").arg(&file);
    };
    let (mut command, mut stop) = (setting.pinning.command(NGINX), Command::new(NGINX));
    arguments(&mut command);
    arguments(&mut stop);
    stop.args(["-s", "stop"]);
    Ok((command, Some(stop)))
}

/// As in real life: the ledger is written to a file. Only what the benchmark is about differs from the defaults.
fn neverdark(
    setting: &Setting<'_>,
    folder: &Path,
    address: SocketAddr,
    models: &[&Model],
    router: &str,
) -> Result<Commands, Trouble> {
    let mut text = format!(
        "[discord]\nenabled = false\n[router]\n{router}[store]\nurl = \"sqlite://{}/neverdark.db\"\n\
         [status]\nlisten = \"off\"\n[api]\nlisten = \"{address}\"\nmax_concurrent = 1100\n[log]\nlevel = \"warn\"\n",
        folder.display()
    );
    for (place, model) in models.iter().enumerate() {
        text += &format!(
            "[[providers]]\nname = \"model-{place}\"\nbase_url = \"http://{}/v1\"\nmodel = \"scripted\"\nmax_concurrent = 0\n",
            model.address
        );
    }
    let file = folder.join("neverdark.toml");
    fs::write(&file, text)?;
    let mut command = setting.pinning.command(&setting.program.to_string_lossy());
    command.arg("run").arg("--config").arg(file).current_dir(folder).env_remove("NEVERDARK_API_KEY");
    Ok((command, None))
}

impl Process {
    fn start(mut command: Command, stop: Option<Command>, folder: &Path) -> Result<Self, Trouble> {
        let log = folder.join("log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Self { child: command.spawn()?, log, stop })
    }

    /// The process and its children: nginx is a master and a worker.
    fn pids(&self) -> Vec<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        std::iter::once(id).chain(children.split_whitespace().filter_map(|it| it.parse().ok())).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(stop) = &mut self.stop {
            let _ = stop.stderr(Stdio::null()).status();
            for _ in 0..GOODBYE.0 {
                if let Ok(Some(_)) = self.child.try_wait() {
                    return;
                }
                thread::park_timeout(GOODBYE.1);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time, in seconds.
fn cpu(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets, which may have spaces; the times are the 14th and the 15th.
    let mut after_name = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || after_name.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn memory(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|it| it.strip_prefix(name))?.trim().trim_end_matches(" kB").parse().ok()
}

//! A child process that dies with the test process.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;

/// The environment variable that names another server program than `redis-server`.
pub const PROGRAM_VARIABLE: &str = "OXBUS_TEST_REDIS_SERVER";
const DEFAULT_PROGRAM: &str = "redis-server";

pub(super) struct Process {
    child: Child,
    is_frozen: bool,
}

impl Process {
    /// Starts the server on a configuration file, as a sentinel if asked for; what it prints is appended to `log`.
    pub(super) fn spawn(config: &Path, as_sentinel: bool, log: &Path) -> Self {
        let program = std::env::var(PROGRAM_VARIABLE).unwrap_or_else(|_| DEFAULT_PROGRAM.into());
        let output = OpenOptions::new().create(true).append(true).open(log).expect("the log of the server");
        let mut command = Command::new(&program);
        command.arg(config).args(as_sentinel.then_some("--sentinel")).stdin(Stdio::null());
        command.stderr(output.try_clone().expect("a second handle of the log")).stdout(output);
        match spawn_to_die_with_us(command) {
            Ok(child) => Self { child, is_frozen: false },
            Err(error) => panic!(
                "cannot start {program:?}: {error}. These tests need a real Redis server (7.0 or later): \
                 install it, or name one in {PROGRAM_VARIABLE}"
            ),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_exited(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_some()
    }

    /// SIGKILL, which a frozen process obeys too; returns when the process is gone.
    pub(super) fn kill(&mut self) {
        // Fails only for a process that is gone already.
        let _ = self.child.kill();
        self.child.wait().expect("the end of a child");
    }

    /// Asks the process to end in an orderly way; does not wait for it.
    pub(super) fn terminate(&mut self) {
        self.signal(libc::SIGTERM);
        // A stopped process would notice the request only when continued.
        self.signal(libc::SIGCONT);
    }

    /// Returns when the process runs no more.
    pub(super) fn freeze(&mut self) {
        self.signal(libc::SIGSTOP);
        // SAFETY: an all-zero siginfo_t is a valid value; the call writes only to it, and WNOWAIT
        // leaves the child to be reaped by `Child`, whose id stays ours until then.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.id(), &mut info, libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT)
        };
        assert_eq!(result, 0, "waiting for the server to freeze: {}", io::Error::last_os_error());
        assert!(!self.has_exited(), "the server ended before it could be frozen");
        self.is_frozen = true;
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    pub(super) fn thaw(&mut self) {
        self.signal(libc::SIGCONT);
        self.is_frozen = false;
    }

    fn signal(&mut self, signal: libc::c_int) {
        if self.has_exited() {
            return;
        }
        let id = libc::pid_t::try_from(self.id()).expect("a process id");
        // SAFETY: no memory is involved, and the id is our child's: it has not been reaped.
        let result = unsafe { libc::kill(id, signal) };
        assert_eq!(result, 0, "signal {signal} to the server: {}", io::Error::last_os_error());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a server printed, from `offset` on.
pub(super) fn log_since(log: &Path, offset: u64) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Linux kills the child when the *thread* that started it ends, and the threads of tests end long
/// before the process: so one thread that never ends starts them all.
fn spawn_to_die_with_us(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("redis-spawner".into())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    die_with_parent(&mut command);
                    // The test that asked may have ended meanwhile.
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread");
        orders
    });
    let (answer, reply) = mpsc::channel();
    spawner.send((command, answer)).expect("the spawner lives as long as the process");
    reply.recv().expect("the spawner answers")
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    let parent = std::process::id();
    // SAFETY: between fork and exec the closure calls only prctl and getppid, which are
    // async-signal-safe, and neither allocates nor takes a lock; making an error of an errno does not either.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before prctl: then nobody would send the signal.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Elsewhere only `Drop` ends the server: a test process that is itself killed leaves it behind.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

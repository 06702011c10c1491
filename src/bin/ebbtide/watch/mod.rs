//! `ebbtide status --watch`: the live view.
//!
//! It looks through a read-only mapping and is attached only to act. It sleeps in one
//! `poll` on the keyboard, its signals and the segment: a thread waits for the phase or the
//! mode to change, so that a change is seen at once without asking for it all the time.
//! What moves no such word (clocks, in-flight counts, activities) is looked at four times a
//! second while a shutdown is on, and once a second otherwise: a person sees no more, and
//! a look at a hundred runners is cheap but not free.

mod action;
mod bars;
mod keys;
mod look;
mod page;
mod scene;
mod terminal;
#[cfg(test)]
mod tests;
mod wake;
mod wrap;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide::{DeadlockDetector, Observer, SegmentError, SegmentOptions, Status};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;

use crate::exit::{Code, Failure};
use crate::{output, render};
use action::Hand;
use keys::{Told, Ui};
use look::Look;
use page::Drawn;
use scene::Scene;
use terminal::Terminal;
use wake::{Bell, Signals};

/// Between two looks while a shutdown is on, and while nothing is.
const LIVELY: Duration = Duration::from_millis(250);
const QUIET: Duration = Duration::from_secs(1);

pub fn run(options: &SegmentOptions, segment: &str) -> Result<Code, Failure> {
    let observer = Arc::new(options.observe(segment)?);
    let locks = options.observe(segment)?;
    if locks.token() != observer.token() {
        // Removed and made anew between the two.
        let name = segment.into();
        return Err(SegmentError::Stale { name }.into());
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let message = "--watch needs a terminal for input and output; see --json for scripts";
        return Err(Failure::new(Code::Usage, message));
    }
    let failed = |error: io::Error| Failure::because("the terminal fails", &error);
    let end = View::new(options, observer, DeadlockDetector::observing(locks))
        .map_err(failed)
        .and_then(|mut view| view.run().map_err(failed)?);
    // Now the terminal is as it was.
    match end? {
        End::Quit => Ok(Code::Done),
        End::Signal(signal) => Ok(Code::of_signal(signal)),
        End::Removed(last) => {
            output::emit(&render::status::page(&last))?;
            let message = format!("segment {segment:?} was removed; this was its last state");
            Err(Failure::new(Code::Missing, message))
        }
    }
}

/// Why the view is over.
enum End {
    Quit,
    /// It was told to end by a signal.
    Signal(i32),
    Removed(Box<Status>),
}

struct View<'a> {
    observer: Arc<Observer>,
    /// Also a mere observer.
    locks: DeadlockDetector,
    hand: Hand<'a>,
    signals: Signals,
    /// Rung by the segment.
    bell: Bell,
    look: Look,
    ui: Ui,
}

impl<'a> View<'a> {
    fn new(
        options: &'a SegmentOptions,
        observer: Arc<Observer>,
        locks: DeadlockDetector,
    ) -> io::Result<Self> {
        let bell = Bell::new()?;
        wake::listen(&observer, bell.ringer()?)?;
        Ok(Self {
            hand: Hand::new(options, observer.token(), bell.ringer()?),
            observer,
            locks,
            signals: Signals::install()?,
            bell,
            look: Look::from_env(),
            ui: Ui::default(),
        })
    }

    fn run(&mut self) -> io::Result<Result<End, Failure>> {
        let mut terminal = Terminal::take()?;
        let mut drawn = Drawn::default();
        loop {
            let looked = Instant::now();
            let (status, scene) = match self.observe() {
                Ok(seen) => seen,
                Err(failure) => return Ok(Err(failure)),
            };
            if self.observer.is_removed() {
                return Ok(Ok(End::Removed(Box::new(status))));
            }
            self.ui.settle(&scene);
            self.hand.go_on();
            let pause = if scene.is_moving() { LIVELY } else { QUIET };
            // Keys draw anew, but are no reason to look anew.
            loop {
                terminal.draw(|frame| drawn = page::draw(frame, &scene, &self.ui, self.look))?;
                self.ui.offset = drawn.offset;
                match self.press(&scene, drawn)? {
                    Told::Quit => return Ok(Ok(End::Quit)),
                    Told::Drawn => continue,
                    Told::Suspend => {
                        if let Some(end) = self.suspend(&mut terminal)? {
                            return Ok(Ok(end));
                        }
                        break;
                    }
                    Told::Redraw => {
                        terminal.forget()?;
                        break;
                    }
                    Told::Do(action) => {
                        self.ui.message = Some(self.hand.act(&action));
                        break;
                    }
                    Told::Nothing => {}
                }
                let left = pause.saturating_sub(looked.elapsed());
                if left.is_zero() {
                    break;
                }
                let is_hung_up = self.sleep(left)?;
                if let Some(signal) = self.signals.end() {
                    return Ok(Ok(End::Signal(signal)));
                }
                if is_hung_up {
                    return Ok(Ok(End::Signal(SIGHUP)));
                }
                if self.signals.stop.has_rung() {
                    if let Some(end) = self.suspend(&mut terminal)? {
                        return Ok(Ok(end));
                    }
                    break;
                }
                if self.signals.go_on.has_rung() {
                    // Stopped by what nobody can catch.
                    terminal.retake()?;
                    break;
                }
                if self.signals.size.has_rung() {
                    terminal.forget()?;
                }
                if self.bell.has_rung() {
                    break;
                }
            }
        }
    }

    fn observe(&self) -> Result<(Status, Scene), Failure> {
        let status = self.observer.status()?;
        let locks = scene::locks(&self.locks.owners()?, &self.locks.waiters()?);
        let scene = Scene::of(&status, &self.observer.report()?, locks);
        Ok((status, scene))
    }

    /// Sleeps until there is something to do. True if the terminal is gone.
    fn sleep(&self, at_most: Duration) -> io::Result<bool> {
        let stdin = io::stdin();
        let signals = &self.signals;
        let bells = [
            &self.bell,
            signals.end_bell(),
            &signals.stop,
            &signals.go_on,
            &signals.size,
        ];
        let mut all = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        all.extend(bells.map(|bell| PollFd::new(bell.as_fd(), PollFlags::POLLIN)));
        // Rounded up, or the last millisecond would be spent spinning.
        let millis = u16::try_from(at_most.as_millis() + 1).unwrap_or(u16::MAX);
        match poll(&mut all, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let keyboard = all[0].revents().unwrap_or(PollFlags::empty());
        Ok(keyboard.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL))
    }

    /// Takes the keys that are there, up to the first that asks for something. The keyboard's
    /// descriptor does not show those that were read with another, so they are all taken.
    fn press(&mut self, scene: &Scene, drawn: Drawn) -> io::Result<Told> {
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else {
                continue;
            };
            if key.kind != KeyEventKind::Release {
                match self.ui.press(key, scene, drawn) {
                    Told::Nothing => {}
                    told => return Ok(told),
                }
            }
        }
        Ok(Told::Nothing)
    }

    /// Gives the terminal back and stops, as the shell expects of a job; takes it again
    /// when it goes on. The end if it was told to end meanwhile: then the terminal is the shell's.
    fn suspend(&mut self, terminal: &mut Terminal) -> io::Result<Option<End>> {
        terminal::give_back();
        emulate_default_handler(SIGTSTP)?;
        let _ = self.signals.go_on.has_rung();
        if let Some(signal) = self.signals.end() {
            return Ok(Some(End::Signal(signal)));
        }
        terminal.retake()?;
        Ok(None)
    }
}

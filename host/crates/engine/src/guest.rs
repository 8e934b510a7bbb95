//! Running guests: each in a fresh store, begun in place where its skill's calls are short (see [`crate::pace`]), else as a task on a
//! runtime of their own.
//!
//! A guest that only computes yields each millisecond and is queued again at once. On the runtime that
//! serves I/O this would delay timers and sockets by dozens of ticks (tokio looks at them only every 61
//! task polls by default), so guests that go on have their own, and deadlines are kept elsewhere.

use std::{
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use skillhost_core::{Attempt, Call, Clock, Failure, FailureKind, Instance, Outcome, Report, Usage};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{JoinHandle, coop},
};
use tracing::Instrument as _;
use wasmtime::Store;

use crate::{
    EngineSettings, Metering,
    changes::Notice,
    epoch::{Ticker, Ticking},
    meter::Meter,
    park::{MayPark, PLACES, Park, Past},
    sandbox::Sandbox,
    state::State,
    trap,
};

/// Fuel after which a guest yields, so that what it used is known to within this much after a cancel.
const FUEL_YIELD: u64 = 1_000_000;

/// Of the 128 units of work that tokio lets a task do before it has to yield, what a call in place counts for: eight of them take half a
/// millisecond or less.
const UNITS: u32 = 16;

/// Skills that list their tools at the same time, in instances beside those for calls: a skill that is
/// dropped in while every call's instance is busy must not have to wait.
pub const LOADING: u32 = 4;

/// Calls that are taken back at the same time, in instances of their own too: what failed is taken back however busy the
/// host is.
pub(crate) const UNDOING: u32 = 4;

/// How deep calls may be nested: a tool that calls a tool is at depth 1.
pub(crate) const MAX_DEPTH: u32 = 4;

/// Calls that may run at once at `depth`. Each depth has slots of its own, so that calls which wait for others
/// never take the slots that those need.
pub(crate) fn slots(instances: u32, depth: u32) -> u32 {
    if depth == 0 { instances.max(1) } else { (instances / 4).max(1) }
}

const PRESENT: &str = "present until its call is over";

/// Where guests run.
pub(crate) struct Guests {
    // Taken in `drop` only.
    runtime: Option<Runtime>,
    ticker: Ticker,
    around: Arc<Around>,
}

/// What all guests have to do with.
struct Around {
    // By depth.
    calls: Vec<Semaphore>,
    loads: Semaphore,
    undos: Semaphore,
    /// For instances that wait for another call.
    places: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    notices: mpsc::Sender<Notice>,
}

/// What a guest is there for.
pub(crate) enum For {
    /// To tell its tools.
    Loading,
    Call(Arc<Call>),
    Undo(Arc<Call>),
}

/// What a guest is asked to do with its store.
pub(crate) type Work<T> = Box<
    dyn for<'a> FnOnce(
            &'a mut Store<State>,
        )
            -> Pin<Box<dyn Future<Output = wasmtime::Result<Result<T, Failure>>> + Send + 'a>>
        + Send,
>;

impl Guests {
    pub(crate) fn new(
        engine: wasmtime::Engine,
        settings: &EngineSettings,
        clock: Arc<dyn Clock>,
        notices: mpsc::Sender<Notice>,
    ) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .thread_name("guest")
            .event_interval(1)
            .global_queue_interval(1)
            .enable_all()
            .build()?;
        Ok(Self {
            ticker: Ticker::start(engine)?,
            runtime: Some(runtime),
            around: Arc::new(Around {
                calls: (0..=MAX_DEPTH)
                    .map(|depth| Semaphore::new(slots(settings.instances, depth) as usize))
                    .collect(),
                loads: Semaphore::new(LOADING as usize),
                undos: Semaphore::new(UNDOING as usize),
                places: Arc::new(Semaphore::new(PLACES as usize)),
                clock,
                notices,
            }),
        })
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.around.clock
    }

    /// Make guests of this engine yield, too.
    pub(crate) fn also(&self, engine: wasmtime::Engine) {
        self.ticker.also(engine);
    }

    /// Ends when the runtime of guests has turned once from now.
    pub(crate) fn turn(&self) -> JoinHandle<()> {
        self.runtime.as_ref().expect("present until dropped").spawn(async {})
    }

    /// Block every thread that runs guests, for ever: a planted fault.
    #[cfg(debug_assertions)]
    pub(crate) fn block(&self) {
        let runtime = self.runtime.as_ref().expect("present until dropped");
        for _ in 0..runtime.metrics().num_workers() {
            runtime.spawn(async {
                loop {
                    std::thread::park();
                }
            });
        }
    }

    /// Queue `work` for a slot and run it in a fresh store, or in one that waits in `park` for another call. A call begins when the
    /// answer is polled, anything else at once.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        sandbox: &Arc<Sandbox>,
        why: For,
        park: MayPark,
        work: Work<T>,
    ) -> Running<T> {
        // Without fuel nothing but the clock ends the first slice, and one instruction that fills memory may take it dozens of milliseconds.
        let counted = sandbox.limits.metering == Metering::Fuel;
        let in_place = matches!(why, For::Call(_)) && counted && sandbox.pace.in_place();
        let around = Arc::clone(&self.around);
        // Both are entered where it runs: log lines are told by the call's, which traces have others below.
        let of = match &why {
            For::Call(call) | For::Undo(call) => call.span.clone(),
            For::Loading => tracing::Span::none(),
        };
        let meter = Arc::new(Meter::new(Arc::clone(&around.clock)));
        let served = park.as_ref().map(|_| Served::default());
        let told = served.clone();
        let ticking = self.ticker.running();
        let began_in = Arc::clone(sandbox);
        let (sandbox, task_meter) = (Arc::clone(sandbox), Arc::clone(&meter));
        let task = async move {
            let Around { calls, loads, undos, places, clock, notices } = &*around;
            let (slots, call) = match why {
                For::Call(call) => (&calls[call.depth.min(MAX_DEPTH) as usize], Some(call)),
                For::Undo(call) => (undos, Some(call)),
                For::Loading => (loads, None),
            };
            // The semaphore is fair and never closed.
            let waiting = slots.acquire().instrument(skillhost_telemetry::span!("slot"));
            let slot = waiting.await.expect("open for the life of the engine");
            let waited = park.as_ref().and_then(|park| park.take(clock.now()));
            let (store, past) = match (waited, call) {
                (Some((mut store, past)), Some(call)) => {
                    store.data_mut().renew(call);
                    (store, past)
                }
                (_, call) => {
                    let state = State::new(Arc::clone(&sandbox), call, Arc::clone(clock), notices.clone());
                    (Store::new(&sandbox.engine, state), Past::new(clock.now()))
                }
            };
            let mut guest = match Metered::new(store, task_meter, ticking) {
                Ok(guest) => guest,
                Err(error) => return Err(Failure::new(FailureKind::Internal, format!("{error:#}"))),
            };
            let result = work(guest.store.as_mut().expect(PRESENT)).await;
            let result = result.unwrap_or_else(|error| Err(guest.classify(&error)));
            let result = result.map_err(|failure| sandbox.granted.redactor.failure(failure));
            let mut store = guest.end();
            let sound = result.is_ok() && store.data().is_sound();
            // The store goes, or has a place, before its slot does: a full pool is an error, not a wait.
            let place = served.as_ref().filter(|_| sound);
            let place = place.and_then(|_| Arc::clone(places).try_acquire_owned().ok());
            match (park, served, place) {
                (Some(park), Some(served), Some(place)) => {
                    store.data_mut().rest();
                    let clock = Arc::clone(clock);
                    let keep = Instance::new(move || wait(&park, store, past, &clock, place));
                    *served.lock().unwrap_or_else(PoisonError::into_inner) = keep;
                }
                _ => drop(store),
            }
            drop(slot);
            result
        };
        let runtime = self.runtime.as_ref().expect("present until dropped").handle().clone();
        let task = task.instrument(tracing::Span::current()).instrument(of);
        let at = if in_place { At::Place(Box::pin(task)) } else { At::Runtime(runtime.spawn(task)) };
        Running { at, runtime, sandbox: began_in, meter, served: told }
    }
}

/// Let an instance wait for another call, for as long as it may, though nobody may come for it.
fn wait(
    park: &Arc<Park>,
    store: Store<State>,
    past: Past,
    clock: &Arc<dyn Clock>,
    place: OwnedSemaphorePermit,
) {
    if let Some(mut until) = park.put(store, past, clock.now(), place) {
        let (park, clock) = (Arc::downgrade(park), Arc::clone(clock));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(until.saturating_duration_since(clock.now())).await;
                match park.upgrade().and_then(|park| park.swept(clock.now())) {
                    Some(next) => until = next,
                    None => return,
                }
            }
        });
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be waited for inside another one.
            runtime.shutdown_background();
        }
    }
}

/// A store that tells what it used when its call is over, however that happens.
struct Metered {
    /// Taken when it ends.
    store: Option<Store<State>>,
    fuel: u64,
    meter: Arc<Meter>,
    _ticking: Ticking,
}

impl Metered {
    fn new(mut store: Store<State>, meter: Arc<Meter>, ticking: Ticking) -> wasmtime::Result<Self> {
        let limits = &store.data().sandbox.limits;
        let (metering, fuel, result) = (limits.metering, limits.fuel, limits.result);
        store.limiter(|state| &mut state.limiter);
        let fuel = match metering {
            Metering::Fuel => {
                store.set_fuel(fuel)?;
                store.fuel_async_yield_interval(Some(FUEL_YIELD))?;
                fuel
            }
            Metering::Time => 0,
        };
        // Ticks come also when no guest begins: the first may be near.
        store.set_epoch_deadline(2);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_hostcall_fuel(result);
        meter.start();
        Ok(Self { store: Some(store), fuel, meter, _ticking: ticking })
    }

    fn classify(&self, error: &wasmtime::Error) -> Failure {
        let state = self.store.as_ref().expect(PRESENT).data();
        let limits = &state.sandbox.limits;
        tracing::debug!(error = %format_args!("{error:?}"), "the guest was ended by the engine");
        trap::classify(error, limits, state.limiter.refused(), state.output.stderr_tail())
    }

    /// The call is over; what becomes of its store is for others to say.
    fn end(mut self) -> Store<State> {
        self.stop().expect(PRESENT)
    }

    fn stop(&mut self) -> Option<Store<State>> {
        let store = self.store.take()?;
        let left = store.get_fuel().unwrap_or(0);
        let state = store.data();
        state.output.finish();
        self.meter.stop(self.fuel.saturating_sub(left), state.limiter.memory());
        Some(store)
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The instance that has served a call.
type Served = Arc<Mutex<Instance>>;

/// Where a guest is at work.
enum At<T> {
    /// On the thread that polls, up to its first yield.
    Place(Task<T>),
    /// On the runtime of guests.
    Runtime(JoinHandle<Result<T, Failure>>),
    /// It has ended.
    End,
}

type Task<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

/// A guest at work. Dropping it ends the guest.
pub(crate) struct Running<T> {
    at: At<T>,
    runtime: Handle,
    sandbox: Arc<Sandbox>,
    meter: Arc<Meter>,
    served: Option<Served>,
}

impl<T: Send + 'static> Running<T> {
    pub(crate) fn abort(&mut self) {
        match &self.at {
            At::Runtime(task) => task.abort(),
            // It has not begun.
            At::Place(_) => self.at = At::End,
            At::End => {}
        }
    }

    /// The first slice of a guest that begins in place; one that goes on after it is handed over.
    fn begin(&mut self, mut task: Task<T>, cx: &mut Context<'_>) -> Option<Result<T, Failure>> {
        let clock = Arc::clone(self.meter.clock());
        let began = clock.now();
        // What it is charged has been taken in `turn`: what it waits for in here must not look as if it had to.
        let mut slice = coop::unconstrained(task.as_mut());
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut slice).poll(cx)));
        self.sandbox.pace.took(clock.now().saturating_duration_since(began));
        match polled {
            Ok(Poll::Ready(result)) => Some(result),
            Ok(Poll::Pending) => {
                self.at = At::Runtime(self.runtime.spawn(task));
                None
            }
            Err(_) => Some(Err(panicked())),
        }
    }
}

impl<T> Running<T> {
    pub(crate) fn usage(&self) -> Usage {
        self.meter.read()
    }

    fn instance(&mut self) -> Instance {
        let served = self.served.take();
        let instance =
            |served: Served| std::mem::take(&mut *served.lock().unwrap_or_else(PoisonError::into_inner));
        served.map(instance).unwrap_or_default()
    }
}

fn panicked() -> Failure {
    Failure::new(FailureKind::Internal, "the host panicked while it ran the skill")
}

fn ended() -> Failure {
    Failure::new(FailureKind::Cancelled, "the call was ended by the host")
}

impl<T: Send + 'static> Future for Running<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match mem::replace(&mut self.at, At::End) {
            At::Place(task) => {
                if turn(cx).is_pending() {
                    self.at = At::Place(task);
                    return Poll::Pending;
                }
                if let Some(result) = self.begin(task, cx) {
                    return Poll::Ready(result);
                }
            }
            begun => self.at = begun,
        }
        let At::Runtime(task) = &mut self.at else { return Poll::Ready(Err(ended())) };
        Pin::new(task).poll(cx).map(|joined| match joined {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => Err(ended()),
            Err(_) => Err(panicked()),
        })
    }
}

/// Lets the task that polls go on, or makes it yield first: a call in place is nothing that it waits for, so one that calls in a loop would keep its
/// thread for as many calls as tokio lets it receive messages.
fn turn(cx: &mut Context<'_>) -> Poll<()> {
    for _ in 0..UNITS {
        ready!(coop::poll_proceed(cx)).made_progress();
    }
    Poll::Ready(())
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if let At::Runtime(task) = &self.at {
            task.abort();
        }
    }
}

impl Attempt for CallAttempt {
    fn abort(&mut self) {
        self.0.abort();
    }
}

/// A call, or an undo, at work.
pub(crate) struct CallAttempt(pub(crate) Running<Outcome>);

impl Future for CallAttempt {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        Pin::new(&mut self.0).poll(cx).map(|result| {
            let (usage, instance) = (self.0.usage(), self.0.instance());
            Report { result, usage, instance }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_task_may_make_eight_calls_in_place_before_others_have_a_turn() {
        let calls = || poll_fn(|cx| Poll::Ready((0..1_000).take_while(|_| turn(cx).is_ready()).count()));
        let task =
            tokio::spawn(async move { (calls().await, tokio::task::yield_now().await, calls().await) });
        assert_eq!(task.await.unwrap(), (8, (), 8));
    }
}

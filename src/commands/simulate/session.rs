//! One open socket of a simulated edge server: the greeting, beats, phones that come and go, reports of where
//! they are, and failing on purpose.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::edge::{Edge, End, Socket};
use super::protocol::{Closing, FromSupervisor, Location, MAX_LOCATIONS, ToSupervisor};
use super::tally::Count;
use super::wall_clock;

/// Time for the greeting, for a write, and for a proper close.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The supervisor pings every 20 s: one that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_mins(1);
/// Time between reports of where some phones are.
const REPORTS: Duration = Duration::from_secs(10);
/// A slow reader reads one message in this time, for about this long.
const SLOW_READ: Duration = Duration::from_secs(1);
const SLOWNESS: Duration = Duration::from_secs(20);
/// Silent deaths last one to five beats: from unnoticed to offline.
const MISSED_BEATS: (f64, f64) = (1.0, 5.0);
/// A drained edge does not wait longer than this for its phones to go.
const LONGEST_DRAIN: Duration = Duration::from_mins(10);

#[derive(Deserialize)]
struct Devices {
    items: Vec<Device>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Device {
    device_id: String,
}

impl Edge {
    /// Speaks over a socket until it ends.
    pub(super) async fn session(&mut self, socket: &mut Socket) -> End {
        let leaving = self.world.leaving.clone();
        let ended = tokio::select! {
            () = leaving.cancelled() => End::Over,
            Err(end) = self.converse(socket) => end,
        };
        if let Some(code) = match &ended {
            End::Over => Some(CloseCode::Away),
            End::Restart | End::Drained => Some(CloseCode::Normal),
            End::Faulty(_) => Some(CloseCode::Protocol),
            End::Silence(_) | End::Closed(_) | End::Lost(_) => None,
        } {
            say_goodbye(socket, code).await;
        }
        ended
    }

    /// Never returns but with how it ended.
    async fn converse(&mut self, socket: &mut Socket) -> Result<std::convert::Infallible, End> {
        let hello = ToSupervisor::hello(self.content().hello());
        say(socket, &hello).await?;
        let heartbeat = match tokio::time::timeout(WELCOME_TIMEOUT, self.welcome(socket)).await {
            Ok(welcome) => welcome?,
            Err(_) => return Err(End::Faulty(format!("no welcome in {} s", WELCOME_TIMEOUT.as_secs()))),
        };
        let world = self.world.clone();
        let _connected = world.tally.connected();
        self.catch_up().await;

        let mut beats = tokio::time::interval(heartbeat);
        let mut reports = tokio::time::interval(REPORTS.mul_f64(self.random.between(0.7, 1.3)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut next_read) = (Instant::now(), Instant::now());
        let mut calm = false;
        let mut drained_at = None;
        let mut next_trouble = self.random.time_until(world.settings.churn_pct_per_minute).map(|time| Instant::now() + time);
        loop {
            tokio::select! {
                frame = async { tokio::time::sleep_until(next_read).await; socket.next().await } => {
                    let Some(frame) = frame else { return Err(End::Lost("ended without a close".to_owned())) };
                    heard = Instant::now();
                    if self.slow_until.is_some_and(|until| until > heard) {
                        next_read = heard + SLOW_READ;
                    }
                    world.tally.add(Count::BytesHeard, frame.as_ref().map_or(0, |frame| frame.len() as u64));
                    if let Some(message) = read(frame)? {
                        self.heed(socket, message, &mut drained_at).await?;
                    }
                }
                _ = beats.tick() => {
                    if heard.elapsed() > SILENCE && self.slow_until.is_none_or(|until| until.elapsed() > SILENCE) {
                        return Err(End::Lost(format!("nothing heard for {} s", SILENCE.as_secs())));
                    }
                    self.beat(socket).await?;
                }
                _ = reports.tick() => self.report(socket).await?,
                () = until(next_trouble) => {
                    next_trouble = self.random.time_until(world.settings.churn_pct_per_minute).map(|time| Instant::now() + time);
                    self.trouble(heartbeat).await?;
                }
                () = until(drained_at) => return Err(End::Drained),
                // Until all is as it should be it stays, and nothing more happens to it.
                () = world.ending.cancelled(), if !calm => {
                    calm = true;
                    (self.slow_until, next_read, next_trouble, drained_at) = (None, Instant::now(), None, None);
                }
            }
        }
    }

    /// Waits for the answer to the greeting.
    async fn welcome(&mut self, socket: &mut Socket) -> Result<Duration, End> {
        loop {
            let Some(frame) = socket.next().await else { return Err(End::Lost("ended before the welcome".to_owned())) };
            match read(frame)? {
                None => {}
                Some(FromSupervisor::Welcome { heartbeat_s, epoch, mode }) => {
                    self.begin_content(&epoch, mode).await;
                    return Ok(Duration::from_secs_f64(heartbeat_s));
                }
                Some(other) => return Err(End::Faulty(format!("{other:?} before the welcome"))),
            }
        }
    }

    /// Asks which devices it serves: what changed while it was away was not told.
    async fn catch_up(&mut self) {
        let (mut devices, mut cursor) = (HashSet::new(), String::new());
        loop {
            let request = self.world.api.request(Method::GET, &format!("/devices/edge/{}{cursor}", self.id));
            match self.world.api.ask::<Devices>("devices of an edge", request.header(AUTHORIZATION, self.bearer.clone())).await {
                Ok(page) => {
                    devices.extend(page.value.items.into_iter().map(|device| device.device_id));
                    match page.value.next_cursor {
                        Some(next) => cursor = format!("?cursor={next}"),
                        None => break,
                    }
                }
                // It goes on with what it knew.
                Err(failure) => {
                    self.world.failed(&failure);
                    return;
                }
            }
        }
        self.devices = devices;
    }

    async fn heed(&mut self, socket: &mut Socket, message: FromSupervisor, drained_at: &mut Option<Instant>) -> Result<(), End> {
        let tally = &self.world.tally;
        match message {
            FromSupervisor::DeviceAssigned(device_id) => {
                tally.add(Count::Assigned, 1);
                let position = self.world.board.get(&device_id).filter(|fix| fix.answered.is_some()).map(|fix| fix.place.into());
                say(socket, &ToSupervisor::DeviceConnected { device_id: &device_id, position }).await?;
                self.devices.insert(device_id);
            }
            FromSupervisor::DeviceReleased(device_id) => {
                tally.add(Count::Released, 1);
                self.devices.remove(&device_id);
                if drained_at.is_some() && self.devices.is_empty() && !self.world.ending.is_cancelled() {
                    return Err(End::Drained);
                }
            }
            FromSupervisor::Drain { deadline } => {
                let left = deadline.and_then(|deadline| (deadline - wall_clock()).to_std().ok()).unwrap_or_default();
                if !self.world.ending.is_cancelled() {
                    *drained_at = Some(Instant::now() + left.min(LONGEST_DRAIN));
                }
            }
            FromSupervisor::SyncDecorations(batch) => self.apply(socket, &batch).await?,
            FromSupervisor::Checkpoint(checkpoint) => self.compare(socket, &checkpoint).await?,
            FromSupervisor::DigestRequest { bits } => self.tell_digests(socket, bits).await?,
            FromSupervisor::InventoryRequest { bits, prefixes } => self.tell_inventory(socket, bits, prefixes).await?,
            FromSupervisor::Error { code, message } => {
                tally.unexpected(format!("socket of an edge: error {code}"), format_args!("{}: {message}", self.name));
            }
            FromSupervisor::Welcome { .. } => return Err(End::Faulty("a second welcome".to_owned())),
            FromSupervisor::Other => tally.add(Count::OtherMessages, 1),
        }
        Ok(())
    }

    /// Says how it is, and which phones went.
    async fn beat(&mut self, socket: &mut Socket) -> Result<(), End> {
        let gone: Vec<String> = self.devices.iter().filter(|device_id| self.world.has_left(device_id)).cloned().collect();
        for device_id in gone {
            say(socket, &ToSupervisor::DeviceDisconnected { device_id: &device_id }).await?;
            self.devices.remove(&device_id);
        }
        self.cpu_pct = drift(self.cpu_pct, self.random.between(-5.0, 5.0));
        self.memory_pct = drift(self.memory_pct, self.random.between(-2.0, 2.0));
        let active_connections = self.devices.len();
        let megabits = u32::try_from(active_connections).map_or(0.0, |devices| f64::from(devices) * 0.05);
        let beat = ToSupervisor::HealthUpdate {
            cpu_usage: tenths(self.cpu_pct),
            memory_usage: tenths(self.memory_pct),
            active_connections,
            bandwidth_mbps: tenths(megabits),
            timestamp: wall_clock(),
        };
        say(socket, &beat).await?;
        self.world.tally.add(Count::Beats, 1);
        Ok(())
    }

    /// Reports where some of its phones are.
    async fn report(&mut self, socket: &mut Socket) -> Result<(), End> {
        let fixes = self.devices.iter().filter_map(|device_id| {
            let fix = self.world.board.get(device_id)?;
            Some(Location { device_id: device_id.clone(), position: fix.place.into(), recorded_at: fix.answered? })
        });
        let locations: Vec<Location> = fixes.take(MAX_LOCATIONS).collect();
        if locations.is_empty() {
            return Ok(());
        }
        self.world.tally.add(Count::Reported, locations.len() as u64);
        say(socket, &ToSupervisor::DeviceLocations { locations }).await
    }

    /// Four of ten troubles are restarts, one of them with nothing left and one with an old disk; two are silent
    /// deaths, two slow reading and two full disks.
    async fn trouble(&mut self, heartbeat: Duration) -> Result<(), End> {
        match self.random.unit() {
            part if part < 0.4 => {
                match part {
                    part if part < 0.1 => self.forget_content().await,
                    part if part < 0.2 => self.restore_content().await,
                    _ => {}
                }
                Err(End::Restart)
            }
            part if part < 0.6 => {
                let beats = self.random.between(MISSED_BEATS.0, MISSED_BEATS.1);
                Err(End::Silence(heartbeat.mul_f64(beats)))
            }
            part if part < 0.8 => {
                self.world.tally.add(Count::SlowReads, 1);
                self.slow_until = Some(Instant::now() + SLOWNESS.mul_f64(self.random.between(0.5, 1.5)));
                self.was_slow = true;
                Ok(())
            }
            _ => {
                self.fill_disk();
                Ok(())
            }
        }
    }
}

/// A frame's message, if it has one; pings are answered by the socket itself.
fn read(frame: Result<Message, tokio_tungstenite::tungstenite::Error>) -> Result<Option<FromSupervisor>, End> {
    match frame.map_err(|error| End::Lost(error.to_string()))? {
        Message::Text(text) => FromSupervisor::read(&text).map(Some).map_err(End::Faulty),
        Message::Binary(_) => Err(End::Faulty("a binary message".to_owned())),
        Message::Close(Some(CloseFrame { code, reason })) => Err(End::Closed(Closing::read(code.into(), &reason))),
        Message::Close(None) => Err(End::Closed(Closing::Ordinary)),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

pub(super) async fn say(socket: &mut Socket, message: &ToSupervisor<'_>) -> Result<(), End> {
    match tokio::time::timeout(WRITE_TIMEOUT, socket.send(Message::text(message.to_text()))).await {
        Ok(sent) => sent.map_err(|error| End::Lost(error.to_string())),
        Err(_) => Err(End::Lost(format!("nothing could be written for {} s", WRITE_TIMEOUT.as_secs()))),
    }
}

/// Closes as the protocol wants it: says so and waits for the other side, for a moment.
async fn say_goodbye(socket: &mut Socket, code: CloseCode) {
    let goodbye = async {
        socket.close(Some(CloseFrame { code, reason: "simulation".into() })).await?;
        while socket.next().await.transpose()?.is_some() {}
        Ok::<(), tokio_tungstenite::tungstenite::Error>(())
    };
    // A socket that broke meanwhile is as closed as one that was closed.
    if let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await {
        tracing::debug!(%error, "closing the socket of an edge");
    }
}

/// Resolves at that time; never without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A percentage that wanders, and stays where an edge is well.
fn drift(pct: f64, step: f64) -> f64 {
    (pct + step).clamp(5.0, 80.0)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

//! The routes of a `pay`: what is missing, in as few parts as its earlier tries leave possible.
//!
//! One route for all of it where there is one, else the greatest parts that find a route, one after
//! another. LDK finds each route; what the tries taught bounds what it may put over a channel.

use std::sync::PoisonError;

use lightning::ln::channel_state::ChannelDetails;
use lightning::routing::gossip::NodeId as GossipId;
use lightning::routing::router::{
    CandidateRouteHop, PaymentParameters, Route, RouteParameters, find_route,
};
use lightning::routing::scoring::{ChannelUsage, ProbabilisticScoringFeeParameters, ScoreLookUp};
use lightning::sign::EntropySource;
use sendpay_ledger::{Hop, NodeId};

use super::in_flight::InFlight;
use super::knowledge::{BOLDNESS, Knowledge};
use super::{Goal, PARTS_MAX};
use crate::Inner;
use crate::ldk::Scorer;
use crate::payment::goes_by;
use crate::route::{TOTAL_DELAY_MAX, direction, to_hops};

/// How often the greatest part that finds a route is looked for by halves: 2^-7 of what is missing
/// is near enough.
const HALVINGS: u32 = 7;

/// What LDK's router keeps back of the blocks it is allowed, for the random ones that it adds at the
/// end (twice the delay of a usual hop): given besides, so that the bound is where it should be.
const KEPT_FOR_OFFSET: u32 = 2 * 40;

/// What one look for routes starts from: everything at one instant.
pub(super) struct Search<'a> {
    inner: &'a Inner,
    goal: &'a Goal,
    knowledge: &'a Knowledge,
    delay_max: u32,
    payment: PaymentParameters,
    first_hops: Vec<ChannelDetails>,
    in_flight: InFlight,
}

/// What is to be found.
#[derive(Clone, Copy)]
pub(super) struct Missing {
    /// All routes together deliver exactly this.
    pub(super) amount_msat: u64,
    /// All routes together cost at most this; None is any.
    pub(super) fee_max_msat: Option<u64>,
    /// At most so many routes.
    pub(super) parts_max: usize,
}

/// How one route is looked for.
#[derive(Clone, Copy)]
struct Way {
    boldness: u32,
    /// The cheapest, whatever the scorer says: where fees are short, a likely route may hide one
    /// that is within them.
    cheapest: bool,
}

impl<'a> Search<'a> {
    /// With what is out now over each channel.
    pub(super) fn new(
        inner: &'a Inner,
        goal: &'a Goal,
        knowledge: &'a Knowledge,
        in_flight: InFlight,
    ) -> Search<'a> {
        let delay_max = goal.delay_max.min(TOTAL_DELAY_MAX);
        let mut payment = goal
            .payee
            .clone()
            .with_max_path_count(1)
            .with_max_total_cltv_expiry_delta(delay_max + KEPT_FOR_OFFSET)
            .with_max_channel_saturation_power_of_half(0);
        payment.previously_failed_channels = knowledge.closed_channels().iter().copied().collect();
        let first_hops = inner
            .manager
            .list_usable_channels()
            .into_iter()
            .filter(|channel| {
                // A banned node is one of the graph: our own channels to it are not looked at.
                let peer = NodeId(channel.counterparty.node_id.serialize());
                let closed = knowledge.closed_channels();
                !knowledge.closed_nodes().contains(&peer)
                    && !closed.iter().any(|scid| goes_by(channel, *scid))
            })
            .collect();
        Search {
            inner,
            goal,
            knowledge,
            delay_max,
            payment,
            first_hops,
            in_flight,
        }
    }

    /// Routes that deliver exactly what is missing; the reason when there are none.
    pub(super) fn find(&self, missing: Missing) -> Result<Vec<Vec<Hop>>, String> {
        let boldness = match self.knowledge.any_ranges() {
            true => &BOLDNESS[..],
            false => &BOLDNESS[..1],
        };
        let mut reason = None;
        let thrift: &[bool] = match missing.fee_max_msat {
            Some(_) => &[false, true],
            None => &[false],
        };
        for boldness in boldness.iter().copied() {
            for cheapest in thrift.iter().copied() {
                let way = Way { boldness, cheapest };
                match self.find_one_or_more(missing, way) {
                    Ok(routes) => return Ok(routes),
                    Err(cause) => reason = Some(cause),
                }
            }
        }
        Err(reason.unwrap_or_default())
    }

    fn find_one_or_more(&self, missing: Missing, way: Way) -> Result<Vec<Vec<Hop>>, String> {
        let draft = Draft {
            search: self,
            first_hops: self.first_hops.clone(),
            in_flight: self.in_flight.clone(),
            way,
            routes: Vec::new(),
        };
        let alone = draft.route(missing.amount_msat, missing.fee_max_msat);
        match alone {
            Ok(route) => Ok(vec![route]),
            Err(_) if self.goal.splits && missing.parts_max > 1 => draft.split(missing),
            Err(cause) => Err(cause),
        }
    }
}

/// Routes found so far in one look, and what they leave of our channels.
struct Draft<'a> {
    search: &'a Search<'a>,
    first_hops: Vec<ChannelDetails>,
    in_flight: InFlight,
    way: Way,
    routes: Vec<Vec<Hop>>,
}

impl Draft<'_> {
    /// The greatest part first, then the greatest of the rest, and so on.
    fn split(mut self, missing: Missing) -> Result<Vec<Vec<Hop>>, String> {
        let parts_max = missing.parts_max.min(PARTS_MAX);
        let mut left_msat = missing.amount_msat;
        let mut fee_left_msat = missing.fee_max_msat;
        while left_msat > 0 {
            let parts_left = u64::try_from(parts_max - self.routes.len()).unwrap_or(0);
            if parts_left == 0 {
                return Err(format!("it takes more than {parts_max} parts"));
            }
            let least_msat = left_msat.div_ceil(parts_left);
            let route = self.greatest(least_msat, left_msat, fee_left_msat)?;
            let (delivered, sent) = ends(&route);
            left_msat = left_msat.saturating_sub(delivered);
            let fee_msat = sent.saturating_sub(delivered);
            fee_left_msat = fee_left_msat.map(|left| left.saturating_sub(fee_msat));
            self.keep(route);
        }
        Ok(self.routes)
    }

    /// The route for as much as finds one, from least to most.
    fn greatest(&self, least: u64, most: u64, fee_max: Option<u64>) -> Result<Vec<Hop>, String> {
        // All of it at once was tried before anything was divided.
        if !self.routes.is_empty()
            && let Ok(route) = self.route(most, fee_max)
        {
            return Ok(route);
        }
        let mut best = self.route(least, fee_max)?;
        let (mut works, mut fails) = (least, most);
        for _ in 0..HALVINGS {
            let middle = works + (fails - works) / 2;
            if middle == works {
                break;
            }
            match self.route(middle, fee_max) {
                Ok(route) => (works, best) = (middle, route),
                Err(_) => fails = middle,
            }
        }
        Ok(best)
    }

    /// Counts a route as taken: of our own channel LDK says what it can carry, of the others we
    /// count what is out.
    fn keep(&mut self, route: Vec<Hop>) {
        if let Some(first) = route.first() {
            let scid = first.short_channel_id;
            for channel in self.first_hops.iter_mut().filter(|own| goes_by(own, scid)) {
                let sent = first.amount_msat.msat();
                let limit = &mut channel.next_outbound_htlc_limit_msat;
                *limit = limit.saturating_sub(sent);
                channel.outbound_capacity_msat =
                    channel.outbound_capacity_msat.saturating_sub(sent);
            }
        }
        self.in_flight.add(&route);
        self.routes.push(route);
    }

    /// One route for exactly that amount, within the bounds on fee and delay to the last unit.
    fn route(&self, amount_msat: u64, fee_max_msat: Option<u64>) -> Result<Vec<Hop>, String> {
        let (inner, goal) = (self.search.inner, self.search.goal);
        let payment = self.search.payment.clone();
        let mut parameters = RouteParameters::from_payment_params_and_value(payment, amount_msat);
        parameters.max_total_routing_fee_msat = fee_max_msat;
        let height = inner.manager.current_best_block().height;
        let onion = goal.onion().map_err(|cause| cause.to_string())?;
        parameters
            .set_max_path_length(&onion, goal.spontaneous.is_some(), height)
            .map_err(|()| "the data for the payee does not fit into an onion".to_owned())?;
        let mut weights = ProbabilisticScoringFeeParameters::default();
        for node in self.search.knowledge.closed_nodes() {
            if let Ok(key) = bitcoin::secp256k1::PublicKey::from_slice(&node.0) {
                weights.add_banned(&GossipId::from_pubkey(&key));
            }
        }
        let first_hops: Vec<&ChannelDetails> = self.first_hops.iter().collect();
        let scorer = inner.scorer.read().unwrap_or_else(PoisonError::into_inner);
        let route = find_route(
            &inner.node_id,
            &parameters,
            &inner.graph,
            Some(&first_hops),
            inner.logger.clone(),
            &Bounded {
                scorer: &scorer,
                draft: self,
            },
            &weights,
            &inner.keys.get_secure_random_bytes(),
        )
        .map_err(ToOwned::to_owned)?;
        self.checked(&route, amount_msat, fee_max_msat)
    }

    /// LDK's route as hops, if it is what was asked for to the millisatoshi and the block.
    fn checked(
        &self,
        route: &Route,
        amount_msat: u64,
        fee_max_msat: Option<u64>,
    ) -> Result<Vec<Hop>, String> {
        let path = match route.paths.as_slice() {
            [path] => path,
            _ => return Err("no single route".into()),
        };
        let mut hops = to_hops(path, self.search.inner.our_id())
            .ok_or_else(|| "the route cannot be expressed".to_owned())?;
        let goal = self.search.goal;
        let (delivered, sent) = ends(&hops);
        // A path can be raised to some channel's least amount: more than asked for is not sent.
        if delivered != amount_msat {
            return Err("no route carries exactly the amount".into());
        }
        if fee_max_msat.is_some_and(|fee_max| sent - delivered > fee_max) {
            return Err("the route costs more than is allowed".into());
        }
        let longest = hops.first().map_or(0, |first| first.delay);
        let too_long = longest.saturating_sub(self.search.delay_max);
        // LDK's random blocks at the end are ours to give up.
        let last = hops.last().map_or(0, |last| last.delay);
        if too_long > last.saturating_sub(goal.final_delay) {
            return Err("the route locks for longer than is allowed".into());
        }
        for hop in &mut hops {
            hop.delay -= too_long;
        }
        Ok(hops)
    }
}

/// What the last node of a route gets, and what leaves us for it.
fn ends(route: &[Hop]) -> (u64, u64) {
    let amount = |hop: Option<&Hop>| hop.map_or(0, |hop| hop.amount_msat.msat());
    (amount(route.last()), amount(route.first()))
}

/// The channel of a candidate, as routes name it.
fn scid(candidate: &CandidateRouteHop) -> Option<u64> {
    match candidate {
        CandidateRouteHop::FirstHop(hop) => hop.details.get_outbound_payment_scid(),
        CandidateRouteHop::PublicHop(hop) => Some(hop.short_channel_id),
        CandidateRouteHop::PrivateHop(hop) => Some(hop.hint.short_channel_id),
        CandidateRouteHop::Blinded(_) | CandidateRouteHop::OneHopBlinded(_) => None,
    }
}

/// The scorer, with what is known to be impossible in front of it.
struct Bounded<'a> {
    scorer: &'a Scorer,
    draft: &'a Draft<'a>,
}

impl ScoreLookUp for Bounded<'_> {
    type ScoreParams = ProbabilisticScoringFeeParameters;

    fn channel_penalty_msat(
        &self,
        candidate: &CandidateRouteHop,
        usage: ChannelUsage,
        weights: &Self::ScoreParams,
    ) -> u64 {
        /// LDK's word for "never".
        const NEVER: u64 = u64::MAX;
        let draft = self.draft;
        let to = candidate.target();
        let (Some(to), Some(scid)) = (to, scid(candidate)) else {
            return self.scorer.channel_penalty_msat(candidate, usage, weights);
        };
        let node = |id: GossipId| NodeId(*id.as_array());
        let along = (scid, direction(&node(candidate.source()), &node(to)));
        let own = matches!(candidate, CandidateRouteHop::FirstHop(_));
        let out = draft.in_flight.over(along);
        let total = usage.amount_msat.saturating_add(out);
        let most = draft.search.knowledge.most(along, draft.way.boldness);
        if most.is_some_and(|most| total > most) {
            return NEVER;
        }
        // Of our own channels LDK says what they can carry besides what is out.
        let usage = ChannelUsage {
            inflight_htlc_msat: match own {
                true => usage.inflight_htlc_msat,
                false => usage.inflight_htlc_msat.saturating_add(out),
            },
            ..usage
        };
        // The most that the channel says of one HTLC is all that is known of it: it stands for what it
        // holds, as in LDK's own routes of several parts.
        if !own && total > usage.effective_capacity.as_msat() {
            return NEVER;
        }
        let penalty = self.scorer.channel_penalty_msat(candidate, usage, weights);
        match draft.way.cheapest && penalty < NEVER {
            true => 0,
            false => penalty,
        }
    }
}

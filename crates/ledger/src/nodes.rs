//! The ids of nodes, kept by their row. A listing shows the destination of each record, and a look-up
//! for each costs it a third of its time. A row of `node` never changes and is never removed (triggers
//! say so), so what was read once, in any snapshot, is right for good.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rusqlite::Connection;

use crate::NodeId;

/// Rows that are kept: more nodes than the network has; 34 bytes each. Those above are read each time.
const ROWS_MAX: usize = 1 << 16;

/// The id of the node in a row.
const NODE: &str = "SELECT node_id FROM node WHERE id = ?1";

/// By row, from 0 on; rows are given in order.
type Known = Vec<Option<NodeId>>;

/// All that were read.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Arc<RwLock<Known>>);

impl Nodes {
    /// For the records of one page.
    pub(crate) fn of_page<'a>(&'a self, connection: &'a Connection) -> NodesOfPage<'a> {
        NodesOfPage {
            nodes: self,
            known: self.0.read().unwrap_or_else(PoisonError::into_inner),
            learned: Vec::new(),
            connection,
        }
    }
}

/// The nodes while a page is read.
pub(crate) struct NodesOfPage<'a> {
    nodes: &'a Nodes,
    known: RwLockReadGuard<'a, Known>,
    learned: Vec<(usize, NodeId)>,
    connection: &'a Connection,
}

impl NodesOfPage<'_> {
    /// The id of the node in this row.
    pub(crate) fn id(&mut self, row: i64) -> Result<NodeId, rusqlite::Error> {
        let place = usize::try_from(row).ok().filter(|place| *place < ROWS_MAX);
        if let Some(id) = place.and_then(|place| *self.known.get(place)?) {
            return Ok(id);
        }
        let id = self
            .connection
            .prepare_cached(NODE)?
            .query_row([row], |row| row.get(0))
            .map(NodeId)?;
        if let Some(place) = place {
            self.learned.push((place, id));
        }
        Ok(id)
    }

    /// Keeps what was read for the pages that come.
    pub(crate) fn keep(self) {
        let NodesOfPage {
            nodes,
            known,
            learned,
            ..
        } = self;
        drop(known);
        let Some(last) = learned.iter().map(|(place, _)| *place).max() else {
            return;
        };
        let mut known = nodes.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() <= last {
            known.resize(last + 1, None);
        }
        for (place, id) in learned {
            if let Some(known) = known.get_mut(place) {
                *known = Some(id);
            }
        }
    }
}

//! Every edge holds exactly the decorations of its area.

mod books;
mod reconcile;
mod restoring;
mod wanted;

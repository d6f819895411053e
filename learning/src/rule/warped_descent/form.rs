//! The form of a warped network: its sizes, and where which of its numbers stand.

use hebbian_shared::spec::rule::warped_descent::{Rates, Warp, WarpedDescentSpec};

/// Sizes and options of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Options of the family.
    pub options: WarpedDescentSpec,
    /// Neurons of each layer, inputs first; at least two layers.
    pub layers: Vec<usize>,
}

/// Where a warp's parameters stand, and its sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The first of its parameters.
    pub(super) at: usize,
    /// d: neurons that it maps together.
    pub(super) width: usize,
}

impl Form {
    /// Layers of weights.
    pub(super) fn depth(&self) -> usize {
        self.layers.len() - 1
    }

    /// The warp after a hidden layer, counted from 0.
    pub(super) fn warp(&self, hidden: usize) -> Place {
        let place = if self.options.share_layers { 0 } else { hidden };
        let at = (0..place).map(|place| self.warp_numbers(self.width(place))).sum();
        Place { at, width: self.width(hidden) }
    }

    fn width(&self, hidden: usize) -> usize {
        match self.options.block as usize {
            0 => self.layers[hidden + 1],
            block => block,
        }
    }

    /// Parameters of a warp of a width.
    fn warp_numbers(&self, d: usize) -> usize {
        let rank = self.options.rank as usize;
        match self.options.warp {
            Warp::None => 0,
            Warp::Diagonal => 2 * d,
            Warp::Linear => d * d + d,
            Warp::Residual => 2 * rank * d + rank + d,
        }
    }

    /// Parameters of all warps; the rates stand behind them.
    pub(super) fn warps_end(&self) -> usize {
        let hidden = self.depth() - 1;
        let warps = if self.options.share_layers { hidden.min(1) } else { hidden };
        (0..warps).map(|place| self.warp_numbers(self.width(place))).sum()
    }

    /// Where the rate of a layer of weights stands among the parameters.
    pub fn rate(&self, layer: usize) -> usize {
        self.warps_end() + if self.options.rates == Rates::One { 0 } else { layer }
    }

    /// Where what is learned of the start begins among the parameters.
    pub(super) fn start(&self) -> usize {
        self.rate(self.depth() - 1) + 1
    }

    /// Where a layer's weights, `[inputs, outputs]` and then biases, stand among all weights.
    pub fn weights(&self, layer: usize) -> std::ops::Range<usize> {
        let numbers = |layer: usize| (self.layers[layer] + 1) * self.layers[layer + 1];
        let start = (0..layer).map(numbers).sum();
        start..start + numbers(layer)
    }

    /// Weights and biases of all layers.
    pub fn weight_count(&self) -> usize {
        self.weights(self.depth() - 1).end
    }
}

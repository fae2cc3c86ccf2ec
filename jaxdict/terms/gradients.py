"""Words for gradients and what befalls them."""

from jaxdict._entry import term

term(
    "automatic_differentiation",
    """The derivative of a program, found by the chain rule on each of its operations and exact to rounding. Forward
    mode follows a change of one input, reverse mode finds the derivative of one output by all inputs at once.""",
    aliases=("autodiff", "automatic gradient"),
    sources=("S2 10.1.4", "Griewank and Walther 2008, doi:10.1137/1.9780898717761"),
    see_also=("backpropagation",),
)
term(
    "backpropagation",
    """The chain rule from the loss back to every weight: the error of a unit is the derivative of its activation times
    the errors above it, weighted by the links to them. One pass forward, which keeps what each unit gave, and one pass
    back give all derivatives at about the price of two or three evaluations.""",
    aliases=("backprop", "backward pass", "error backpropagation"),
    sources=("S2 10.1.4", "S3", "Rumelhart, Hinton and Williams 1986, doi:10.1038/323533a0"),
    errata=(
        "S3's example swaps the layers of its two weight gradients: 2 × 1.76 belongs to the first layer (from x₂ to the"
        " second unit), 1 × 0.88 to the second.",
    ),
    see_also=("automatic_differentiation", "vanishing_gradient", "net_input"),
)
term(
    "bias_correction",
    """Division of a decaying mean that began at 0 by 1 − βᵗ, the weight that it has given out after t steps. Without
    it the mean is too small for the first 1/(1 − β) steps or so.""",
    sources=("S1 1.6", "S2 11.3.5", "S4", "Kingma and Ba 2015, arXiv:1412.6980"),
    errata=("S1 1.6 says that the moments are biased when the decay rates are small: they are when β is near 1.",),
    see_also=("adam", "exponential_moving_average"),
)
term(
    "dead_unit",
    """A ReLU unit whose net input is negative for every example, so that it gives 0 and passes no gradient. Its
    own weights then stand still under plain gradient descent; a slope below 0, or a small positive bias at the start,
    prevents it.""",
    aliases=("dead neuron", "dying relu", "dead relu"),
    sources=("S0 4.2", "S2 11.1.2", "S3"),
    errata=(
        "S3 says that dead units cannot be revived: so in the first layer under plain gradient descent. In a deeper"
        " layer their inputs change, and momentum or weight decay moves weights without a gradient.",
    ),
    see_also=("relu", "leaky_relu", "saturation", "bias_parameter"),
)
term(
    "exploding_gradient",
    """A gradient that grows from layer to layer on its way back, by a factor above 1 each time. The step then throws
    the weights far off and the loss becomes infinite; clipping, normalization and initialization are the remedies.""",
    aliases=("exploding gradients",),
    sources=("S2 11", "S2 11.1", "S2 11.1.4"),
    see_also=("vanishing_gradient", "gradient_clipping", "batch_norm"),
)
term(
    "exponential_moving_average",
    """A mean that forgets: at each step it keeps the share β of itself and takes 1 − β of the new value. It looks back
    about 1/(1 − β) steps, and optimizers, batch normalization and averaged weights are made of it.""",
    aliases=("decaying average", "running average", "ema"),
    sources=("S0 6.5", "S1 1.4", "S2 11.1.3", "S4"),
    errata=("S0 6.5 calls it the average of x where the recursion averages x².",),
    see_also=("adam", "batch_norm", "bias_correction"),
)
term(
    "gradient_clipping",
    """A bound on the gradient before the optimizer sees it, on each component, on the norm of each tensor, or on the
    norm of all together. Only the last keeps the direction; all three stop one bad batch from throwing the weights
    away.""",
    aliases=("clipnorm", "clipvalue", "clip by norm"),
    sources=("S2 11.1.4", "Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063"),
    errata=(
        "S2 11.1.4 says that clipnorm keeps the direction: it clips each tensor by itself, which turns the gradient as"
        " a whole. The global norm keeps it.",
    ),
    see_also=("exploding_gradient",),
)
term(
    "local_minimum",
    """A point where the loss is lower than all around it, and yet higher than somewhere else. Large networks meet
    saddle points and plateaus more often, where the gradient is small too but a way down is left.""",
    aliases=("local optimum", "saddle point", "plateau"),
    sources=("S2 11.3.1", "S4", "Dauphin et al. 2014, arXiv:1406.2572"),
    errata=(
        "S4 calls the place where momentum ends on Beale's function from (−3, 3) a local minimum: the function has none"
        " but (3, ½). It is a valley without end, x → −∞, along which the value falls towards 0.452.",
    ),
    see_also=("momentum", "gradient_descent"),
)
term(
    "saturation",
    """A unit is saturated where its output is close to an end of a bounded activation function. The slope there is
    almost 0, so that hardly any gradient passes and the unit learns slowly.""",
    aliases=("saturated unit", "saturating activation"),
    sources=("S2 11.1", "S3"),
    see_also=("sigmoid", "tanh", "vanishing_gradient", "dead_unit"),
)
term(
    "symmetry_breaking",
    """Units that start with equal weights get equal gradients and stay copies of each other for ever. Random weights
    tell them apart; biases may all start at 0.""",
    sources=("S2 10.1.4", "S3"),
    see_also=("xavier", "he", "zeros"),
)
term(
    "vanishing_gradient",
    """A gradient that shrinks from layer to layer on its way back, by a factor below 1 each time. The lower layers
    then hardly learn; activations that do not saturate, initialization to scale and normalization keep the factor
    near 1.""",
    aliases=("vanishing gradients", "vanishing gradient problem"),
    sources=("S0 4.8", "S2 11.1", "S3", "Glorot and Bengio 2010, PMLR 9:249"),
    errata=(
        "S2 11.1 says that the variance of the weights grows with depth: it is that of the outputs.",
        "S2 11.1 blames weights from N(0, 1) with sigmoids: the factor of a layer depends on the width, about 0.5 at 10"
        " units, 1 at 100 and 1.25 at 300, where gradients grow. With Glorot's weights it is 0.23.",
    ),
    see_also=("exploding_gradient", "saturation", "xavier", "selu"),
)

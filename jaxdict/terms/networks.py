"""Words for what a network is made of."""

from jaxdict._entry import term

term(
    "activation_function",
    """The function that a unit applies to its net input, or a layer to all of them. Without one a stack of layers
    would be a single linear map, however deep; the bend is what lets a network learn more.""",
    aliases=("nonlinearity", "non-linearity", "transfer function"),
    sources=("S0 4", "S2 10.1.4", "S3"),
    errata=(
        "S0 4 says that its purpose is to limit the range of the outputs: six of the eleven that it lists are"
        " unbounded. S2 10.1.4 has it right: the purpose is not to be linear.",
    ),
    see_also=("relu", "sigmoid", "gelu", "net_input"),
)
term(
    "autoencoder",
    """A network that is trained to give back its own input through a narrow or noisy middle. Its lower half then
    holds features that were learned without labels, ready for another model to reuse.""",
    sources=("S2 11.2.2", "Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647"),
    see_also=("unsupervised_pretraining", "transfer_learning"),
)
term(
    "bias_parameter",
    """The number that a unit adds to the weighted sum of its inputs. It moves the point at which the unit responds,
    and starts at zero, or a little above for ReLU so that no unit starts out dead.""",
    aliases=("bias vector", "bias term", "offset", "intercept"),
    sources=("S2 10.1.3", "S3"),
    see_also=("bias", "dense", "dead_unit"),
)
term(
    "fan",
    """The fan in of a layer is how many inputs each of its outputs sums over, and the fan out how many outputs each
    input reaches. Initializers divide by them, so that signals and gradients keep their size from layer to layer.""",
    aliases=("fan in", "fan out", "fan average"),
    sources=("S0 3.3", "S2 11.1.1", "Glorot and Bengio 2010, PMLR 9:249"),
    see_also=("variance_scaling", "xavier", "he", "vanishing_gradient"),
)
term(
    "feedforward_network",
    """A network whose units stand in layers, each fed by the layers before it, so that nothing runs in a circle.
    Where every unit sees all units of the layer before, it is called a multilayer perceptron.""",
    aliases=("fnn", "multilayer perceptron", "deep feedforward network"),
    sources=("S2 10.1.4", "S3"),
    see_also=("mlp", "dense", "hidden_layer", "universal_approximation"),
)
term(
    "hidden_layer",
    """A layer between the inputs and the outputs, whose values no data set gives. What its units come to stand for is
    found by training, and deeper ones build on the features of those below.""",
    aliases=("hidden unit", "hidden units"),
    sources=("S2 10.1.4", "S2 10.3.1", "S3"),
    see_also=("dense", "mlp", "feedforward_network"),
)
term(
    "linear_separability",
    """Two classes are linearly separable when a plane has all examples of one on one side and all of the other on the
    other. A single perceptron learns just these; XOR is the smallest problem that needs a second layer.""",
    aliases=("linearly separable", "xor problem"),
    sources=("S2 10.1.3", "Minsky and Papert 1969, Perceptrons, MIT Press"),
    see_also=("perceptron", "hidden_layer"),
)
term(
    "logit",
    """The number that an output unit has before it becomes a probability: the log-odds under a sigmoid, a
    log-probability up to a common constant under a softmax. Losses on logits keep their digits, where a probability
    would round to 0 or 1.""",
    aliases=("logits", "score", "log-odds"),
    sources=("S3",),
    see_also=("softmax", "sigmoid", "softmax_cross_entropy", "sigmoid_cross_entropy", "net_input"),
)
term(
    "net_input",
    """What a unit computes before its activation function: the weighted sum of its inputs plus the bias. It is
    usually written z, and the error that backpropagation passes down is the derivative of the loss by it.""",
    aliases=("pre-activation", "weighted sum"),
    sources=("S2 10.1.3", "S3"),
    see_also=("dense", "activation_function", "bias_parameter", "backpropagation"),
)
term(
    "one_hot",
    """A class written as a vector with a 1 at its place and 0 elsewhere. Dense losses take such targets, sparse ones
    take the number of the class, and both give the same value.""",
    aliases=("one-hot encoding", "to_categorical", "dummy variable"),
    sources=("S2 10.2.1.2",),
    see_also=("softmax_cross_entropy", "sparse_softmax_cross_entropy", "target"),
)
term(
    "output_unit",
    """What the last layer's numbers mean as a distribution of the target: the mean of a normal one, a probability
    through a sigmoid, probabilities through a softmax. The loss is its negative log likelihood, whose derivative by
    those numbers is the prediction minus the target.""",
    aliases=("linear-Gaussian output unit", "sigmoid output unit", "softmax output unit", "output layer"),
    sources=("S2 10.1.5", "S2 10.1.6", "S3"),
    see_also=("logit", "gaussian_nll", "sigmoid_cross_entropy", "softmax_cross_entropy", "mlp"),
)
term(
    "perceptron",
    """A layer of units that fire where the weighted sum of their inputs reaches a threshold, taught one example at a
    time by adding the rate times the error times the input to the weights. It finds a separating plane whenever there
    is one, and never settles where there is none.""",
    aliases=("threshold logic unit", "tlu"),
    sources=("S2 10.1.2", "S2 10.1.3", "Rosenblatt 1958, doi:10.1037/h0042519"),
    errata=("S2 10.1.3 notes '0 or 1' under (y − ŷ)x: the error y − ŷ is −1, 0 or 1, and x is any number.",),
    see_also=("linear_separability", "dense", "mlp"),
)
term(
    "target",
    """What the model should have said for an example: a class, or the numbers to be predicted. It comes from the data
    and not from the model, and the loss measures how far the prediction is from it.""",
    aliases=("ground truth", "label"),
    sources=("S0 1", "S3"),
    see_also=("loss_function", "one_hot"),
)
term(
    "universal_approximation",
    """One hidden layer of sigmoid units, if it is wide enough, comes as near as wanted to any continuous function on a
    bounded closed set of inputs. The theorem says nothing of how wide that is, nor that training finds the weights.""",
    aliases=("universal approximation theorem",),
    sources=("S2 10.1.4", "S3", "Cybenko 1989, doi:10.1007/BF02551274"),
    errata=(
        "S3 leaves out that the inputs must be from a compact set: on the whole line a sum of sigmoids is bounded and"
        " has limits at both ends, so it stays far from x² and from sin x.",
    ),
    see_also=("mlp", "sigmoid", "capacity"),
)

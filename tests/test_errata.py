"""Where the sources are wrong: every known erratum stands in the entry that a reader would look at.

One line an erratum: the entry, the section of the source, and what the correction has to say.
"""

import pytest

import jaxdict as jd

KNOWN = """
loss l1 | S0 1.1 | undefined at d = 0
penalty l1 | S0 5.1 | undefined at 0
penalty l1 | S0 5.1 | underbrace leaves λ out
penalty elastic_net | S0 5.3 | undefined at 0
loss l2 | S0 1.2 | half a sum
loss cross_entropy | S0 1.4 | [0, 1]ⁿ
loss cross_entropy | S0 1.4 | softmax(z) − y
loss softmax_cross_entropy | S0 1.4 | every class has a gradient
loss kl_divergence | S0 1.5 | [0, 1]ⁿ
loss kl_divergence | S0 1.5 | cross entropy itself
loss kl_divergence | S0 1.5 | softmax(z)·Σy − y
loss hinge | S4 | the maximum or the sum
loss gaussian_nll | S3 | up to an added constant
distribution uniform | S0 2.1 | variance is r²/3
distribution normal | S0 2.2 | centered at 0
distribution truncated_normal | S0 3.3 | 0.7737
initializer variance_scaling | S0 3.3 | different variances
initializer lecun | S2 11.1.1.3 | uniform
initializer xavier | S2 11.1.1.1 | logistic's is 1/4
initializer xavier | S2 11.1 | depends on the width
initializer xavier | S3 | argues against
initializer fan_in_uniform | S3 | argue against
initializer he | S3 | variance is 2/n
activation linear | S0 4 | six of its eleven
activation relu | S0 4.2 | a_i
activation relu | S3 | first layer only
activation leaky_relu | S2 11.1.2 | 0.01 and 0.2
activation prelu | S0 4.4 | not needed
activation prelu | S2 11.1.2 | learned
activation elu | S0 4.5 | for every alpha
activation elu | S0 4.5 | continuous itself
activation elu | S2 11.1.2 | alpha = 1 only
activation hard_bounded | S0 4.9 | where it is 0
activation hard_bounded | S0 4.9 | falling ramp
activation softmax | S0 4.11 | -a_i a_j
activation softmax | S0 4.11 | attention
activation tanh | S2 10.1.4 | minus is lost
activation tanh | S3 | 1.663
activation swish | S3 | -1.2785
activation mish | S3 | -1.1924
activation gelu | S3 | -0.7518
noise dropout | S0 5.4 | 1 - P
noise dropout | S3 | plain gradient descent only
noise dropout | S4 | keeps with p
noise dropout | S4 | W1 and b1 twice
normalization batch_norm | S0 5.5 | m + 1 terms
normalization batch_norm | S0 5.5 | m/(m - 1)
normalization batch_norm | S2 11.1.3 | normalized x
normalization batch_norm | S2 11.1.3 | σ²
layer batch_norm | S2 11.1.3 | γ⊗x̂ + β
layer dense | S3 | (out, in)
optimizer clip_by_norm | S2 11.1.4 | global norm keeps it
optimizer weight_decay | S3 | only without momentum
term bias | S0 5 | too simple a model
term perceptron | S2 10.1.3 | −1, 0 or 1
term bootstrap_sample | S4 | 63.2
term snapshot_ensemble | S4 | predictions
term universal_approximation | S3 | compact set
term backpropagation | S3 | swaps
term vanishing_gradient | S2 11.1 | outputs
term local_minimum | S4 | valley
term learning_rate | S1 1.3 | 4.2
optimizer gradient_descent | S4 | does not
optimizer momentum | S0 6.2 | [0, 1)
optimizer momentum | S2 11.3.1 | 1 minus it
optimizer momentum | S4 | 1/(1 - momentum)
optimizer adam | S0 6.7 | inside the root
optimizer adam | S1 1.6 | near 1
optimizer adam | S2 11.3.5 | hats
optimizer adam | S3 | Algorithm 8.7
optimizer adam | S4 | 6.57
optimizer adagrad | S0 6.4 | of their squares
optimizer adagrad | S1 1.3 | 4.2 arrives
optimizer adagrad | S4 | own squares
optimizer rmsprop | S0 6.5 | x squared
optimizer rmsprop | S2 11.3.4 | must divide
optimizer rmsprop | S2 11.3.4 | cycle
optimizer rmsprop | S4 | inside it
optimizer adadelta | S0 6.6 | takes the place
optimizer adadelta | S1 1.4 | hidden one
optimizer adadelta | S1 1.4 | Delta theta
optimizer adamax | S0 6.7.1 | 0/0
optimizer adamax | S2 11.3.5 | must divide
optimizer nadam | S0 6.8 | 1.47 g
optimizer nadam | S0 6.8 | 2015
optimizer nesterov | S0 6.3 | next step
optimizer nesterov_sutskever | S1 1.2 | nabla
optimizer nesterov_bengio | S4 | wrong way
optimizer perceptron_rule | S2 10.1.3 | -1, 0 or 1
"""
ROWS = [tuple(part.strip() for part in line.split("|")) for line in KNOWN.strip().splitlines()]


@pytest.mark.parametrize(("entry", "section", "correction"), ROWS, ids=[f"{e}-{s}-{c}" for e, s, c in ROWS])
def test_a_known_erratum_stands_in_its_entry(entry, section, correction):
    kind, name = entry.split()
    errata = jd.lookup(name, kind=kind).errata
    assert any(section in text and correction in text for text in errata), errata


def test_errata_name_the_source_that_they_correct():
    for entry in jd.entries():
        for text in entry.errata:
            assert text.startswith(("S0", "S1", "S2", "S3", "S4")), f"{entry.kind} {entry.name}: {text}"

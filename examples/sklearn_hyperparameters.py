"""Tunes a support vector machine on scikit-learn's hand-written digits: two numbers on a logarithmic scale, one whole number.

pip install hebbian scikit-learn; python examples/sklearn_hyperparameters.py

Seen with scikit-learn 1.9.1: 76 s of processor time for 120 evaluations, accuracy 0.9755 (penalty 512, width 0.00052, 38 components).
"""

import hebbian


@hebbian.objective(
    "digits-svm",
    penalty=hebbian.real(1.0, deviation=2.0, low=1e-3, high=1e4, log=True),
    width=hebbian.real(1e-3, deviation=2.0, low=1e-6, high=1.0, log=True),
    components=hebbian.integer(2, 64),
    time_limit=60.0,
)
def accuracy(penalty, width, components):
    """Mean accuracy of a five-fold cross-validation."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    x, y = load_digits(return_X_y=True)
    model = make_pipeline(PCA(components, random_state=0), SVC(C=penalty, gamma=width))
    return cross_val_score(model, x, y, cv=5).mean()


if __name__ == "__main__":
    result = hebbian.maximise(accuracy, evaluations=120)
    print(f"accuracy {result.value:.4f} after {result.evaluations} evaluations: {result.parameters}")

"""Train a scikit-learn pipeline, then classify in small batches."""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

BATCH = 50
ROUNDS = 60


def main() -> None:
    """Fit once, predict many times."""
    images, labels = load_digits(return_X_y=True)
    model = Pipeline(
        [
            ("scale", StandardScaler()),
            ("reduce", PCA(n_components=20, svd_solver="full")),
            ("classify", LogisticRegression(max_iter=500)),
        ]
    )
    model.fit(images, labels)
    batches = [images[at : at + BATCH] for at in range(0, len(images), BATCH)]
    seen = sum(len(model.predict(one)) for _ in range(ROUNDS) for one in batches)
    print(seen, "images in", ROUNDS * len(batches), "batches")


if __name__ == "__main__":
    main()

"""Classical detectors beside every score of vectors: what a deep one has to beat, and often does not.

Each is a function (rows (N, D) of normal data, seed, its settings) that gives a function rows -> scores (N,), higher is more
anomalous. Rows are on one scale: standardised vectors, or pixels.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 5


def forest(train, seed, **settings):
    """Isolation forest (Liu et al., 2008); settings are those of scikit-learn."""
    fitted = IsolationForest(random_state=seed, **settings).fit(train)
    return lambda x: -fitted.score_samples(x)


def pca(train, seed, components):
    """Squared error of the reconstruction from principal components."""
    fitted = PCA(min(components, *train.shape), random_state=seed).fit(train)
    return lambda x: np.square(x - fitted.inverse_transform(fitted.transform(x))).mean(1)


def knn(train, seed, neighbours):
    """Mean distance to the nearest training rows (Angiulli & Pizzuti, 2002)."""
    fitted = NearestNeighbors(n_neighbors=min(neighbours, len(train)), algorithm="brute").fit(train)
    return lambda x: fitted.kneighbors(x)[0].mean(1)


def of_vectors(dataset, split, limit=None, seed=0):
    """Scores of a split of vectors, standardised as by the models: {"knn", "isolation_forest": float (N,)}.

    Windows are vectors of all of their values. The settings, five neighbours and a forest of scikit-learn's defaults, are
    not chosen on any data.
    """
    spec = dataset.spec

    def flat(rows):
        return ((rows - np.array(spec.location)) / np.array(spec.scale)).reshape(len(rows), -1)

    train, rows = flat(dataset.images("train")), flat(dataset.images(split)[:limit])
    return {"knn": knn(train, seed, NEIGHBOURS)(rows), "isolation_forest": forest(train, seed)(rows)}

"""The base of scikit-learn's scorers, apart from `_sklearn_compat`.

`import skvae` should not pay for the import of all of scikit-learn's metrics.

A scorer that derives from it routes metadata as scikit-learn's own do, and callbacks
take it as one number. The same in scikit-learn 1.6 to 1.9.
"""

from sklearn.metrics._scorer import _BaseScorer as BaseScorer

__all__ = ["BaseScorer"]

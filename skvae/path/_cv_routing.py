"""The folds and the scorer of a cross-validation, and the metadata for them."""

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.parallel import Parallel, delayed

from skvae._sklearn_compat import _check_method_params, _routing_enabled, rows_of
from skvae.path._cv_results import scores_of, takes_weights


class CVRouting:
    """Mixin of an estimator that has the parameters `cv` and `scoring`."""

    def _splitter(self, y=None):
        # The folds and scorers of scikit-learn bring all of its metrics, which
        # `import skvae` does without.
        from sklearn.model_selection import check_cv

        return check_cv(self.cv, y)

    def _scorer(self):
        from sklearn.metrics import check_scoring

        return check_scoring(self, scoring=self.scoring)

    def _routed(self, sample_weight, params):
        """Metadata for splitter and scorer."""
        if _routing_enabled():
            return process_routing(self, "fit", sample_weight=sample_weight, **params)
        weights = {}
        if self.scoring is not None and sample_weight is not None:
            scorer = self._scorer()
            if not takes_weights(scorer):
                raise ValueError(
                    f"scoring={self.scoring!r} takes no sample_weight, but fit was "
                    "given one. Add the argument sample_weight=None to it."
                )
            weights = {"sample_weight": sample_weight}
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=weights))

    def _scores(self, models, X, y, tests, params):
        """Scores of the models of each fold on its test rows."""
        run = Parallel(n_jobs=self.n_jobs)
        scores = run(
            delayed(scores_of)(
                self._scorer(),
                models[:, fold],
                rows_of(X, test),
                None if y is None else rows_of(y, test),
                _check_method_params(X, params.score, indices=test),
            )
            for fold, test in enumerate(tests)
        )
        return np.transpose(scores)

    def get_metadata_routing(self):
        """Return the routing of metadata.

        Returns
        -------
        routing : MetadataRouter
            Metadata of `fit` itself, and those that it passes on to `cv` and `scoring`.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(
            splitter=self._splitter(),
            method_mapping=MethodMapping().add(caller="fit", callee="split"),
        )
        if self.scoring is not None:
            router.add(
                scorer=self._scorer(),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
        return router

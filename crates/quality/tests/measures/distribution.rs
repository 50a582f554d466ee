//! How far apart labels of two versions are, against scipy 1.17.

use glossator_quality::distribution::{chi_square, jensen_shannon};
use glossator_quality::measure::{NO_ANSWERS, ONE_LABEL};
use proptest::prelude::*;

const A: [u64; 4] = [30, 14, 34, 0];
const B: [u64; 4] = [10, 0, 25, 45];

#[test]
fn figures_of_scipy() {
    // scipy.spatial.distance.jensenshannon(a, b, base=2)**2
    let found = jensen_shannon(&A, &B).unwrap();
    assert!((found - 0.428_380_183_328_308_63).abs() < 1e-12, "{found}");
    // scipy.stats.chi2_contingency([a, b], correction=False)
    let test = chi_square(&A, &B).unwrap();
    assert!((test.statistic - 70.358_838_548_457_19).abs() < 1e-9, "{test:?}");
    assert!((test.p / 3.576_166_882_783_619e-15 - 1.0).abs() < 1e-6, "{test:?}");
    assert_eq!((test.degrees, test.sparse), (3, false));
    assert!((test.cramers_v - 0.667_314_846_783_039).abs() < 1e-12, "{test:?}");
    // Labels that neither gives change nothing.
    let (mut a, mut b) = (A.to_vec(), B.to_vec());
    a.insert(1, 0);
    b.insert(1, 0);
    assert_eq!(chi_square(&a, &b), Ok(test));
}

#[test]
fn what_is_not_defined_says_why() {
    assert_eq!(jensen_shannon(&[0, 0], &[1, 2]), Err(NO_ANSWERS));
    assert_eq!(chi_square(&[1], &[0]), Err(NO_ANSWERS));
    assert_eq!(chi_square(&[5, 0], &[7, 0]), Err(ONE_LABEL));
    assert_eq!(jensen_shannon(&[1, 0], &[0, 3]), Ok(1.0));
    assert!(chi_square(&[3, 1], &[1, 3]).unwrap().sparse);
}

proptest! {
    #[test]
    fn bounds_and_symmetry(pairs in prop::collection::vec((0_u64..50, 0_u64..50), 2..8)) {
        let (a, b): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        if let (Ok(one), Ok(other)) = (jensen_shannon(&a, &b), jensen_shannon(&b, &a)) {
            prop_assert!((0.0..=1.0).contains(&one));
            prop_assert!((one - other).abs() < 1e-12);
            prop_assert!(jensen_shannon(&a, &a).unwrap() < 1e-12);
        }
        if let Ok(test) = chi_square(&a, &b) {
            prop_assert!((0.0..=1.0).contains(&test.p));
            prop_assert!((0.0..=1.0 + 1e-12).contains(&test.cramers_v));
            let other = chi_square(&b, &a).unwrap();
            prop_assert!((test.statistic - other.statistic).abs() < 1e-9);
        }
    }
}

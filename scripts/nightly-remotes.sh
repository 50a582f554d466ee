#!/usr/bin/env bash
# Tries gloss against S3 servers that are too large for the tests, or that must be refused.
#
#   scripts/nightly-remotes.sh [rgw] [s3rver] [s3s-fs] [garage]        all, where none is named
#
# rgw      Ceph's, from Debian's packages (root, apt): refuses quoted If-Match, so gloss must refuse
#          it with that reason, or be able to push to it
# s3rver   from npm: ignores conditions, must be refused
# garage   from crates.io (14 minutes to build): ignores conditions, must be refused
# s3s-fs   from crates.io (4 minutes): passes the probe, but of several swaps at once more than one
#          may win; the race of pushers must show that, or lose nothing
#
# GLOSS names the binary, target/release/gloss by default. WORK keeps what was installed.
set -euo pipefail
cd "$(dirname "$0")/.."
gloss=$(realpath "${GLOSS:-target/release/gloss}")
work=$(realpath -m "${WORK:-target/nightly-remotes}")
mkdir -p "$work"
here=$(mktemp -d)
pids=()
stop() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    [ ! -d "$here/run" ] || cat "$here"/run/*.pid 2>/dev/null | xargs -r kill 2>/dev/null || true
    rm -rf "$here"
}
trap stop EXIT
export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=n@example.com
export GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=n@example.com
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1

python() {
    if [ ! -x "$work/venv/bin/python" ]; then
        python3 -m venv "$work/venv"
        "$work/venv/bin/pip" install --quiet boto3
    fi
    "$work/venv/bin/python" "$@"
}

# bucket NAME: makes it, once the server answers.
bucket() {
    python - "$1" <<'PY'
import boto3, os, sys, time
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
for left in range(300, -1, -1):
    try:
        s3.create_bucket(Bucket=sys.argv[1])
        break
    except Exception as error:
        if not left:
            raise
        time.sleep(0.2)
PY
}

# store DIR: one with a commit.
store() {
    "$gloss" init "$1" >/dev/null
    printf 'item,annotator,label\none,ann,cat\n' >"$1/a.csv"
    "$gloss" -C "$1" import "$1/a.csv" -m one >/dev/null
}

# refused NAME WORDS: adding the remote fails, and says why.
refused() {
    store "$here/$1"
    if "$gloss" -C "$here/$1" remote add origin s3://glosstest/labels >"$here/out" 2>&1; then
        echo "$1: WAS NOT REFUSED"
        return 1
    fi
    if ! grep -q "$2" "$here/out"; then
        echo "$1: refused, but not because: $2"
        cat "$here/out"
        return 1
    fi
    echo "$1: refused: $(head -1 "$here/out")"
}

s3rver() {
    [ -x "$work/node_modules/.bin/s3rver" ] || npm install --silent --prefix "$work" s3rver
    export AWS_ENDPOINT_URL=http://127.0.0.1:18016
    export AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER
    "$work/node_modules/.bin/s3rver" -d "$here/s3rver-data" -a 127.0.0.1 -p 18016 \
        --configure-bucket glosstest --silent &
    pids+=($!)
    bucket glosstest 2>/dev/null || true
    refused s3rver "overwrites a key that must not exist"
}

garage() {
    if [ ! -x "$work/bin/garage" ]; then
        CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
            cargo install --quiet --locked --debug --root "$work" garage@2.5.0
    fi
    local toml=$here/garage.toml secret
    secret=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
    cat >"$toml" <<TOML
metadata_dir = "$here/garage/meta"
data_dir = "$here/garage/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:18301"
rpc_public_addr = "127.0.0.1:18301"
rpc_secret = "$secret"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:18300"
root_domain = ".s3.garage.localhost"
TOML
    local g=("$work/bin/garage" -c "$toml")
    "${g[@]}" server >/dev/null 2>&1 &
    pids+=($!)
    until "${g[@]}" node id -q >/dev/null 2>&1 && "${g[@]}" status >/dev/null 2>&1; do sleep 0.2; done
    "${g[@]}" layout assign -z dc1 -c 1G "$("${g[@]}" node id -q | cut -d@ -f1)" >/dev/null
    "${g[@]}" layout apply --version 1 >/dev/null
    "${g[@]}" bucket create glosstest >/dev/null
    local key
    key=$("${g[@]}" key create k1)
    "${g[@]}" bucket allow --read --write --owner glosstest --key k1 >/dev/null
    AWS_ACCESS_KEY_ID=$(sed -n 's/^Key ID: *//p' <<<"$key")
    AWS_SECRET_ACCESS_KEY=$(sed -n 's/^Secret key: *//p' <<<"$key")
    export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    export AWS_ENDPOINT_URL=http://127.0.0.1:18300 AWS_REGION=garage
    refused garage "overwrites a key that must not exist"
    export AWS_REGION=us-east-1
}

s3s-fs() {
    if [ ! -x "$work/bin/s3s-fs" ]; then
        cargo install --quiet --locked --debug --root "$work" s3s-fs@0.14.1 --features binary
    fi
    mkdir -p "$here/s3s/glosstest"
    export AWS_ENDPOINT_URL=http://127.0.0.1:18014
    export AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=testsecret
    "$work/bin/s3s-fs" --host 127.0.0.1 --port 18014 --access-key testkey \
        --secret-key testsecret "$here/s3s" >/dev/null 2>&1 &
    pids+=($!)
    bucket probe-only
    race s3s-fs
}

# race NAME: eight stores push to branches of their own at once; each that was told "pushed" must
# be there.
race() {
    store "$here/$1"
    if ! "$gloss" -C "$here/$1" remote add origin s3://glosstest/labels >"$here/out" 2>&1; then
        echo "$1: refused: $(head -1 "$here/out")"
        return
    fi
    "$gloss" -C "$here/$1" push >/dev/null
    local n lost=0 told=0 jobs=()
    for n in 1 2 3 4 5 6 7 8; do
        "$gloss" clone s3://glosstest/labels "$here/$1-$n" >/dev/null
        "$gloss" -C "$here/$1-$n" switch -c "b$n" >/dev/null
        printf 'item,annotator,label\none,ann,dog%s\n' "$n" >"$here/$1-$n/b.csv"
        "$gloss" -C "$here/$1-$n" import "$here/$1-$n/b.csv" -m "b$n" >/dev/null
    done
    for n in 1 2 3 4 5 6 7 8; do
        "$gloss" -C "$here/$1-$n" push >"$here/$1-$n.out" 2>&1 && touch "$here/$1-$n.told" &
        jobs+=($!)
    done
    wait "${jobs[@]}" || true
    "$gloss" -C "$here/$1" fetch >/dev/null
    for n in 1 2 3 4 5 6 7 8; do
        [ -e "$here/$1-$n.told" ] || continue
        told=$((told + 1))
        "$gloss" -C "$here/$1" log "origin/b$n" --oneline >/dev/null 2>&1 || lost=$((lost + 1))
    done
    echo "$1: $told of 8 pushes at once were told to be in, $lost of these were lost"
}

rgw() {
    command -v radosgw >/dev/null || {
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends \
            ceph-mon ceph-osd ceph-mgr radosgw ceph-common >/dev/null
    }
    local w=$here fsid uuid
    fsid=$(cat /proc/sys/kernel/random/uuid)
    uuid=$(cat /proc/sys/kernel/random/uuid)
    mkdir -p "$w/run"
    cat >"$w/ceph.conf" <<CONF
[global]
fsid = $fsid
keyring = $w/keyring
mon host = [v2:127.0.0.1:18310,v1:127.0.0.1:18311]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data = $w/mon
mgr data = $w/mgr
osd data = $w/osd
osd objectstore = bluestore
bluestore block size = 4294967296
bluestore block create = true
osd memory target = 939524096
run dir = $w/run
admin socket = $w/run/\$name.asok
log file = $w/run/\$name.log
pid file = $w/run/\$name.pid
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:18320
CONF
    export CEPH_CONF=$w/ceph.conf
    mkdir -p "$w/mon" "$w/mgr" "$w/osd"
    local k=$w/keyring
    {
        monmaptool --create --fsid "$fsid" \
            --addv a "[v2:127.0.0.1:18310,v1:127.0.0.1:18311]" "$w/monmap"
        ceph-authtool --create-keyring "$k" --gen-key -n mon. --cap mon 'allow *'
        ceph-authtool "$k" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' \
            --cap mgr 'allow *'
        ceph-authtool "$k" --gen-key -n mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
        ceph-authtool "$k" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' \
            --cap mgr 'allow profile osd'
        ceph-mon -i a --mkfs --monmap "$w/monmap" --keyring "$k"
        ceph-mon -i a
        ceph-mgr -i x
        ceph osd new "$uuid"
        ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
        ceph-osd -i 0
    } >"$w/ceph.log" 2>&1
    radosgw -f -n client.admin >>"$w/ceph.log" 2>&1 &
    pids+=($!)
    radosgw-admin user create --uid=gloss --display-name=gloss --access-key=GLOSSACCESS \
        --secret-key=glosssecret123 >>"$w/ceph.log" 2>&1
    export AWS_ENDPOINT_URL=http://127.0.0.1:18320
    export AWS_ACCESS_KEY_ID=GLOSSACCESS AWS_SECRET_ACCESS_KEY=glosssecret123
    bucket glosstest
    race rgw
}

chosen=("$@")
[ ${#chosen[@]} -gt 0 ] || chosen=(rgw s3rver s3s-fs garage)
failed=0
for server in "${chosen[@]}"; do
    "$server" || failed=1
done
exit $failed

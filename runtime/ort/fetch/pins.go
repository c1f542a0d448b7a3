package fetch

// Version is the release of ONNX Runtime that is fetched.
const Version = "1.30.0"

// releaseURL is the folder of that release on GitHub.
const releaseURL = "https://github.com/microsoft/onnxruntime/releases/download/v" + Version

// pin is what is known of one platform's library. All channels carry version 1.30.0, but each is a build of its own: the
// bits of results may differ from one to the other, so a run that must be repeated should name its library.
type pin struct {
	file   string // name in the cache
	npm    source
	pip    source
	wheel  string // pip's platform tag
	github source
}

// source is where a channel has the library. Checksums are SHA-256 in hex; "" is one that is not known. At least one of the
// two is set.
type source struct {
	archive string // checksum of the archive
	name    string // file name of the archive
	size    int64  // bytes of the archive
	member  string // path of the library in it
	library string // checksum of the library
}

// The sums of npm and pip are of archives that were downloaded by those clients and unpacked. Those of the GitHub archives
// are the digests that the release page states, as several unrelated projects pin them; they were not checked by a
// download. (2026-11)
const npmArchive = "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75"

var pinned = map[string]pin{
	"linux/amd64": {
		file: "libonnxruntime.so.1",
		npm: source{npmArchive, "onnxruntime-node-1.30.0.tgz", 113_507_888,
			"package/bin/napi-v6/linux/x64/libonnxruntime.so.1",
			"ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"},
		pip: source{"fa688e7891a6aa206636fe7372e27ee75fd17713289f6b4fc7b190e0a7de9328",
			"onnxruntime-1.30.0-cp312-cp312-manylinux_2_28_x86_64.whl", 23_585_654,
			"onnxruntime/capi/libonnxruntime.so.1.30.0",
			"c902c70b3003c0e99fada202f37478c515ae9bba7944c2b2abd0017bae0c82ed"},
		wheel: "manylinux_2_28_x86_64",
		github: source{"a5ed5a3cac51fbb2e90da632ae43d19212faaa20e76484e62bcb7c23ddb3b3fd",
			"onnxruntime-linux-x64-1.30.0.tgz", 11_306_877,
			"onnxruntime-linux-x64-1.30.0/lib/libonnxruntime.so.1.30.0", ""},
	},
	"linux/arm64": {
		file: "libonnxruntime.so.1",
		npm: source{npmArchive, "onnxruntime-node-1.30.0.tgz", 113_507_888,
			"package/bin/napi-v6/linux/arm64/libonnxruntime.so.1",
			"1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"},
		pip: source{"6c32a000d5139a38ba9349030b0032e3331acb559d596b22738d9d2b343a2b83",
			"onnxruntime-1.30.0-cp312-cp312-manylinux_2_28_aarch64.whl", 21_345_202,
			"onnxruntime/capi/libonnxruntime.so.1.30.0",
			"8a218e1e446880131115c368ec7005969a5022af9a15a26173de648fef0b7789"},
		wheel: "manylinux_2_28_aarch64",
		github: source{"e16a27a8ed330bbc698df7330b0cf56e722f354e3bcc92118682c74ef3c3e3da",
			"onnxruntime-linux-aarch64-1.30.0.tgz", 10_269_495,
			"onnxruntime-linux-aarch64-1.30.0/lib/libonnxruntime.so.1.30.0", ""},
	},
	"darwin/arm64": {
		file: "libonnxruntime.1.dylib",
		npm: source{npmArchive, "onnxruntime-node-1.30.0.tgz", 113_507_888,
			"package/bin/napi-v6/darwin/arm64/libonnxruntime.1.dylib",
			"685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d"},
		pip: source{"001ed726c9bd5e2bc92faade7d37d889e9606a350b7d5529f0227df2e3bb57fd",
			"onnxruntime-1.30.0-cp312-cp312-macosx_14_0_arm64.whl", 21_544_867,
			"onnxruntime/capi/libonnxruntime.1.30.0.dylib",
			"b46713ea6a25a5227541c21001f6422c1ccdeaecc369aa026a61b752520325c3"},
		wheel: "macosx_14_0_arm64",
		github: source{"6ebb5062a934537c352937821f9fe9718e7de1a2db1122a93dd363ffd53a7012",
			"onnxruntime-osx-arm64-1.30.0.tgz", 42_373_116,
			"onnxruntime-osx-arm64-1.30.0/lib/libonnxruntime.1.30.0.dylib", ""},
	},
}

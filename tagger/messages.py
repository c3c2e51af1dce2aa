"""What errors say, in English and Japanese, in one table.

Each row is ``code: (HTTP status, English, Japanese)``. A sentence says what happened and what to
do. Placeholders take the formats below besides Python's own: ``:MiB`` bytes as mebibytes, ``:MP``
pixels as megapixels, ``:kind`` a kind of file and ``:why`` a reason by its name in the language at
hand.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

#: Names of kinds of files that are taken for pictures: ``kind: (English, Japanese)``.
KINDS: dict[str, tuple[str, str]] = {
    "svg": ("an SVG drawing", "SVG"),
    "pdf": ("a PDF document", "PDF"),
    "postscript": ("a PostScript or Illustrator file", "PostScript/Illustratorファイル"),
    "psd": ("a Photoshop document", "Photoshopファイル"),
    "clip": ("a Clip Studio Paint document", "CLIP STUDIO PAINTファイル"),
    "xcf": ("a GIMP document", "GIMPファイル"),
    "jxl": ("a JPEG XL picture", "JPEG XL画像"),
    "jp2": ("a JPEG 2000 picture", "JPEG 2000画像"),
    "ico": ("an icon file", "アイコンファイル"),
    "exr": ("an OpenEXR picture", "OpenEXR画像"),
    "netpbm": ("a Netpbm picture", "Netpbm画像"),
    "qoi": ("a QOI picture", "QOI画像"),
    "dds": ("a DDS texture", "DDSテクスチャ"),
    "video": ("a video", "動画"),
    "audio": ("a sound file", "音声ファイル"),
    "zip": ("a ZIP archive", "ZIPアーカイブ"),
    "archive": ("an archive", "圧縮ファイル"),
    "html": ("a web page", "ウェブページ"),
    "text": ("a text file", "テキストファイル"),
    "unknown": ("not a picture that we know", "未対応の形式"),
}

#: Why something cannot be learnt: ``reason: (English, Japanese)``.
REASONS: dict[str, tuple[str, str]] = {
    "nothing-given": (
        "nothing to learn from has been given with consent yet",
        "公開に同意した、学習に使える描画がまだありません",
    ),
    "training-missing": (
        "training is not installed; install requirements-train.txt",
        "学習用ライブラリがないため、requirements-train.txtをインストールしてください",
    ),
    "data-missing": (
        "the drawings of the first training are needed, so that nothing is forgotten; set "
        "TAGGER_TRAINING_DATA to the folder of sketches.parquet",
        "忘却を防ぐため最初の学習の描画が必要です。"
        "TAGGER_TRAINING_DATAにsketches.parquetのあるフォルダーを設定してください",
    ),
    "weights-missing": (
        "the recogniser comes without its weights for training (weights.npz)",
        "認識モデルに学習用の重み（weights.npz）がありません",
    ),
    "head-missing": (
        "the recogniser comes without its last layer (head.npz)",
        "認識モデルに最終層（head.npz）がありません",
    ),
    "frozen-missing": (
        "the recogniser comes without frozen test drawings to judge by (frozen.npz)",
        "認識モデルに判定用の固定テスト描画（frozen.npz）がありません",
    ),
}

MESSAGES: dict[str, tuple[int, str, str]] = {
    # Pictures: what the file is.
    "image-empty": (
        422,
        "The file is empty. Choose it again, or save it again from the program that made it.",
        "ファイルが空です。選び直すか、作成したアプリで保存し直してください。",
    ),
    "image-foreign": (
        415,
        "The file is {kind:kind}, which cannot be read here. "
        "Export it as PNG, JPEG or WebP and send that.",
        "このファイルは{kind:kind}のため読み込めません。"
        "PNG、JPEG、WebPのいずれかに書き出してから送ってください。",
    ),
    "image-unknown": (
        415,
        "This does not look like a picture. Send PNG, JPEG, WebP, GIF, AVIF, HEIC, BMP or TIFF.",
        "画像として認識できません。"
        "PNG、JPEG、WebP、GIF、AVIF、HEIC、BMP、TIFFのいずれかを送ってください。",
    ),
    "image-no-decoder": (
        415,
        "{format} pictures cannot be read on this server. Send it as PNG, JPEG or WebP.",
        "このサーバーでは{format}を読み込めません。PNG、JPEG、WebPのいずれかで送ってください。",
    ),
    "image-truncated": (
        422,
        "The {format} file breaks off before its end. "
        "Download or copy it again, or save it again, and send that.",
        "{format}ファイルが途中で切れています。"
        "ダウンロードやコピーをやり直すか、保存し直してから送ってください。",
    ),
    "image-damaged": (
        422,
        "The {format} file is damaged or made in a way that cannot be read. "
        "Open it in an image editor, save it as PNG and send that.",
        "{format}ファイルが壊れているか、読み込めない形式です。"
        "画像編集アプリで開き、PNGで保存してから送ってください。",
    ),
    "image-unreadable": (
        422,
        "The file could not be opened. Check that it exists and that you may read it.",
        "ファイルを開けませんでした。ファイルの有無と読み取り権限を確認してください。",
    ),
    "image-not-a-file": (
        422,
        "This is a folder or a device, not a picture file. Choose a file.",
        "フォルダーまたはデバイスです。画像ファイルを選んでください。",
    ),
    "image-no-lines": (
        422,
        "No drawn lines were found in the picture. Take it closer and in even light, with dark "
        "lines on light paper.",
        "画像から線を見つけられませんでした。"
        "明るい紙に濃い線で描き、均一な明るさで近くから撮影してください。",
    ),
    # Pictures: limits.
    "image-too-many-bytes": (
        413,
        "The file is larger than {limit:MiB}. Send a smaller one: save it as JPEG or WebP, "
        "or reduce its width and height.",
        "ファイルが{limit:MiB}を超えています。"
        "JPEGやWebPで保存するか、縦横のサイズを小さくして送ってください。",
    ),
    "image-too-many-pixels": (
        413,
        "The picture is {width} × {height} ({pixels:MP}); at most {limit:MP} are read. "
        "Reduce its width and height and send that.",
        "画像が{width}×{height}（{pixels:MP}）あり、上限の{limit:MP}を超えています。"
        "縦横のサイズを小さくして送ってください。",
    ),
    "image-bomb": (
        413,
        "The {format} file would unfold to more than {limit:MP}. "
        "Open it in an image editor, reduce it, and send that.",
        "{format}ファイルを展開すると{limit:MP}を超えます。"
        "画像編集アプリで開き、縮小してから送ってください。",
    ),
    "image-side-too-long": (
        413,
        "The picture is {width} × {height}; a side may have at most {limit} pixels. "
        "Reduce or crop it and send that.",
        "画像が{width}×{height}あり、一辺の上限{limit}ピクセルを超えています。"
        "縮小するか切り抜いて送ってください。",
    ),
    "image-too-many-frames": (
        413,
        "The file holds more than {limit} frames or pages. Save the one you want as a picture "
        "of its own and send that.",
        "コマまたはページが{limit}枚を超えています。必要な1枚だけを保存して送ってください。",
    ),
    "image-too-much-memory": (
        413,
        "Decoding this {format} picture of {width} × {height} would take about {needed:MiB} of "
        "memory; the limit is {limit:MiB}. Reduce its width and height, or save it as JPEG.",
        "この{format}画像（{width}×{height}）の展開には約{needed:MiB}のメモリーが必要で、"
        "上限の{limit:MiB}を超えます。縦横のサイズを小さくするか、JPEGで保存してください。",
    ),
    "out-of-memory": (
        503,
        "There was not enough memory for this picture. Try again later, or send a smaller one.",
        "メモリーが足りませんでした。時間をおいて試すか、小さい画像を送ってください。",
    ),
    # Requests.
    "request-no-file": (
        422,
        "No picture was sent. Choose at least one file.",
        "画像が送られていません。ファイルを1つ以上選んでください。",
    ),
    "request-too-many-files": (
        413,
        "{count} files were sent; at most {limit} are taken at once. Send them in parts.",
        "{count}個のファイルが送られましたが、一度に送れるのは{limit}個までです。"
        "分けて送ってください。",
    ),
    "request-invalid": (
        422,
        "The value of “{field}” cannot be used: {reason}.",
        "「{field}」の値が正しくありません（{reason}）。",
    ),
    "request-unknown-tag": (
        422,
        "There is no tag “{tag}” in this model.",
        "このモデルに「{tag}」というタグはありません。",
    ),
    "request-too-large": (
        413,
        "The request is larger than {limit:MiB}. Send fewer or smaller pictures at once.",
        "リクエストが{limit:MiB}を超えています。枚数を減らすか、小さい画像を送ってください。",
    ),
    "request-not-multipart": (
        415,
        "Send the pictures as multipart/form-data, as a web form does, in fields named “file”.",
        "画像はmultipart/form-data形式で、フィールド名「file」で送ってください。",
    ),
    "request-malformed": (
        400,
        "The request is not well-formed and could not be read. Check the program that sent it.",
        "リクエストの形式が正しくないため読み取れません。送信したプログラムを確認してください。",
    ),
    "request-timeout": (
        408,
        "The upload stalled or took too long. Send it again, perhaps in parts.",
        "アップロードが途中で止まったか、時間がかかりすぎました。分けて送り直してください。",
    ),
    "not-found": (
        404,
        "There is nothing at this address. See the API's documentation for those that exist.",
        "このアドレスには何もありません。APIのドキュメントを確認してください。",
    ),
    "method-not-allowed": (
        405,
        "This address does not take {method} requests. See the API's documentation.",
        "このアドレスは{method}リクエストを受け付けません。APIのドキュメントを確認してください。",
    ),
    "not-ready": (
        503,
        "The model is still being loaded. Try again in a few seconds.",
        "モデルを読み込んでいます。数秒後にもう一度お試しください。",
    ),
    "busy": (
        429,
        "Many pictures are being read right now. Try again in a few seconds.",
        "現在混み合っています。数秒後にもう一度お試しください。",
    ),
    # The collection: what people give.
    "label-empty": (
        422,
        "The label is empty. Write a word for what the drawing shows.",
        "ラベルが空です。描いたものを表す言葉を入力してください。",
    ),
    "label-too-long": (
        422,
        "The label is longer than {limit} characters. Write a shorter one.",
        "ラベルが{limit}文字を超えています。短くしてください。",
    ),
    "label-characters": (
        422,
        "The label has characters that cannot be shown. Write letters, digits and spaces.",
        "ラベルに表示できない文字があります。文字、数字、空白で入力してください。",
    ),
    "drawing-invalid": (
        422,
        "The drawing cannot be kept: the value of “{field}” is out of range.",
        "描画を保存できません。「{field}」の値が範囲外です。",
    ),
    "drawing-not-found": (
        404,
        "There is no such drawing among yours. It may have been deleted.",
        "あなたの描画の中に見つかりません。削除された可能性があります。",
    ),
    "vote-invalid": (
        422,
        "The vote cannot be kept: the value of “{field}” is out of range.",
        "投票を保存できません。「{field}」の値が範囲外です。",
    ),
    "vote-not-found": (
        404,
        "There is no such vote among yours. It may have been taken back.",
        "あなたの投票の中に見つかりません。取り消された可能性があります。",
    ),
    "store-full": (
        507,
        "The disk is full or cannot be written, so this was not saved; nothing that was saved "
        "before is lost. Try again when there is room.",
        "ディスクに空きがないか書き込めないため、保存できませんでした。保存済みのものは失われていません。"
        "空きができてから、もう一度お試しください。",
    ),
    "store-busy": (
        503,
        "The collection is in use by another program and could not be reached in time. "
        "Try again in a few seconds.",
        "ほかのプログラムが使用中のため、時間内に利用できませんでした。数秒後にもう一度お試しください。",
    ),
    "store-read-only": (
        503,
        "The collection can be read but not written here. Check the permissions of the data "
        "folder or of the database's user.",
        "データベースに書き込めません。データフォルダーまたはユーザーの権限を確認してください。",
    ),
    "store-unavailable": (
        503,
        "The collection's database cannot be reached. Check TAGGER_DATABASE and TAGGER_DATA_DIR, "
        "and whether the server runs.",
        "データベースに接続できません。TAGGER_DATABASEとTAGGER_DATA_DIR、サーバーの状態を"
        "確認してください。",
    ),
    "store-damaged": (
        500,
        "The collection's file is damaged or not one of this program. Move it away, or bring back "
        "a copy.",
        "データベースのファイルが壊れているか、別のものです。移動するか、控えから戻してください。",
    ),
    "store-too-new": (
        500,
        "The collection was written by a newer version of this program. Update the program.",
        "より新しい版で作られたデータベースです。プログラムを更新してください。",
    ),
    "store-bad-url": (
        500,
        "TAGGER_DATABASE cannot be used. Write sqlite:///FILE or postgresql://USER@HOST/NAME.",
        "TAGGER_DATABASEが正しくありません。sqlite:///ファイル名かpostgresql://ユーザー@ホスト/名前"
        "で指定してください。",
    ),
    "store-no-driver": (
        500,
        "PostgreSQL needs a driver. Install it with: pip install 'psycopg[binary]'.",
        "PostgreSQLにはドライバーが必要です。pip install 'psycopg[binary]'で"
        "インストールしてください。",
    ),
    "store-failed": (
        500,
        "The database refused the operation; nothing was changed. Try again; if it happens "
        "again, please report it.",
        "データベースの処理に失敗しました。変更はされていません。"
        "再度お試しのうえ、続く場合はご報告ください。",
    ),
    "drawings-format-unknown": (
        422,
        "The format of drawings is not known. Choose ndjson, ndjson-simplified, parquet "
        "or npz, or name the file .ndjson, .parquet or .npz.",
        "描画の形式がわかりません。ndjson、ndjson-simplified、parquet、npzのいずれかを指定するか、"
        "ファイル名を.ndjson、.parquet、.npzにしてください。",
    ),
    "votes-format-unknown": (
        422,
        "The format of votes is not known. Choose jsonl, csv or parquet.",
        "投票の形式がわかりません。jsonl、csv、parquetのいずれかを指定してください。",
    ),
    "drawings-file-invalid": (
        422,
        "The file cannot be read as drawings in this format. Check the format, or export or "
        "download the file again.",
        "この形式の描画ファイルとして読み込めません。形式を確認するか、"
        "書き出しまたはダウンロードをやり直してください。",
    ),
    "votes-file-invalid": (
        422,
        "The file cannot be read as votes in this format. Check the format, or export the file "
        "again.",
        "この形式の投票ファイルとして読み込めません。形式を確認するか、書き出しをやり直してください。",
    ),
    "drawings-row-invalid": (
        422,
        "The value of “{field}” cannot be read.",
        "「{field}」の値を読み取れません。",
    ),
    "format-not-installed": (
        503,
        "Parquet files need the package pyarrow. Install it (`pip install pyarrow`).",
        "Parquetファイルにはpyarrowが必要です。`pip install pyarrow`でインストールしてください。",
    ),
    # Drawings: recognising and collecting.
    "too-fast": (
        429,
        "Requests come faster than they are answered here. Wait a moment and go on more slowly.",
        "リクエストが速すぎます。少し待ってから、間隔をあけてお試しください。",
    ),
    "drawing-failed": (
        500,
        "The model failed on this drawing. Change it a little; if it happens again, report it.",
        "この描画の処理に失敗しました。少し描き変えて試し、続く場合はご報告ください。",
    ),
    "drawing-off": (
        503,
        "Drawings are not recognised on this server: it has no model for them.",
        "このサーバーには描画を認識するモデルがありません。",
    ),
    "word-not-drawn": (
        422,
        "The word “{word}” cannot be accepted: nobody has drawn it with consent yet.",
        "「{word}」は、公開に同意した描画がまだないため承認できません。",
    ),
    "visitor-missing": (
        401,
        "Say who you are: send an id of your own, 16 to 64 letters and digits that nobody can "
        "guess, in the header X-Visitor.",
        "X-Visitorヘッダーに、推測されない英数字16～64文字のIDを指定してください。",
    ),
    "owner-only": (
        403,
        "Only the owner of this app may do that. Send the owner's token as a bearer token.",
        "この操作は管理者だけが行えます。管理者のトークンをBearerトークンで送ってください。",
    ),
    "request-not-json": (
        415,
        "Send the request's body as JSON (Content-Type: application/json).",
        "リクエスト本文はJSON（Content-Type: application/json）で送ってください。",
    ),
    "memory-foreign": (
        500,
        "The learnt words were learnt with another model. They are learnt anew from the drawings.",
        "学習済みの言葉は別のモデルのものです。描画から学習し直します。",
    ),
    "memory-damaged": (
        500,
        "The file of learnt words is damaged. They are learnt anew from the drawings.",
        "学習済みの言葉のファイルが壊れています。描画から学習し直します。",
    ),
    "bundle-sketch-not-found": (
        503,
        "There is no recogniser of drawings at {name}. Train one (`python -m tagger train "
        "sketch`), or set TAGGER_SKETCH_BUNDLE to its folder or to hf:owner/name.",
        "{name}に描画の認識モデルがありません。`python -m tagger train sketch`で学習するか、"
        "TAGGER_SKETCH_BUNDLEにフォルダーかhf:owner/nameを設定してください。",
    ),
    "bundle-sketch-task": (
        503,
        "The model is made for another task than recognising drawings, as its {file} says. "
        "Choose a recogniser of drawings.",
        "{file}によると、描画を認識するモデルではありません。描画の認識モデルを指定してください。",
    ),
    "push-off": (
        422,
        "Nothing is pushed: set TAGGER_HUB_DATASET to owner/name, and TAGGER_HUB_TOKEN to a token "
        "that may write there.",
        "送信先が設定されていません。TAGGER_HUB_DATASETにowner/name、"
        "TAGGER_HUB_TOKENに書き込みできるトークンを設定してください。",
    ),
    "push-running": (
        409,
        "Another push of this collection is running. Try again when it has ended.",
        "別の送信が実行中です。終わってから、もう一度お試しください。",
    ),
    "push-refused": (
        502,
        "The Hub does not let this token write there. Check TAGGER_HUB_TOKEN and "
        "TAGGER_HUB_DATASET.",
        "このトークンではHubに書き込めません。"
        "TAGGER_HUB_TOKENとTAGGER_HUB_DATASETを確認してください。",
    ),
    "push-failed": (
        502,
        "The Hub could not be reached or did not take the drawings. Nothing is lost: push again "
        "later.",
        "Hubに接続できないか、受け付けられませんでした。"
        "失われたものはありません。後でもう一度送信してください。",
    ),
    # Learning for good: for the owner.
    "tuning-busy": (
        409,
        "Something is being learnt already. Wait for its end, or cancel it.",
        "すでに学習中です。終わるのを待つか、中止してください。",
    ),
    "tuning-unavailable": (
        422,
        "This cannot be done here: {why:why}.",
        "ここでは実行できません。{why:why}。",
    ),
    "tuning-run-not-found": (
        404,
        "There is no such run.",
        "その学習は見つかりません。",
    ),
    "tuning-version-not-found": (
        404,
        "There is no such version of the recogniser. Its folder may have been deleted.",
        "認識モデルのその版は見つかりません。フォルダーが削除された可能性があります。",
    ),
    "tuning-version-damaged": (
        422,
        "This version of the recogniser cannot be opened, so the one in use has not changed. "
        "Choose another one.",
        "この版の認識モデルを開けないため、切り替えていません。別の版を選んでください。",
    ),
    "tuning-no-previous": (
        409,
        "There is no version before this one.",
        "これより前の版はありません。",
    ),
    "tuning-stopped": (
        500,
        "The server stopped before it had ended. The recogniser in use has not changed.",
        "終わる前にサーバーが停止しました。認識モデルは変わっていません。",
    ),
    "tuning-failed": (
        500,
        "It did not get to its end; log.txt in the run's folder says why. The recogniser in use "
        "has not changed.",
        "最後まで実行できませんでした。原因は学習フォルダーのlog.txtにあります。"
        "認識モデルは変わっていません。",
    ),
    "tuning-candidate-invalid": (
        500,
        "What was learnt cannot be opened as a recogniser. The one in use has not changed.",
        "学習結果を認識モデルとして開けません。使用中のモデルは変わっていません。",
    ),
    "tuning-not-written": (
        507,
        "It could not be written to the data folder. Check its free space and permissions.",
        "データフォルダーに書き込めませんでした。空き容量と権限を確認してください。",
    ),
    # Models.
    "bundle-not-found": (
        503,
        "There is no model at {name}. Train one (`python -m tagger train`), or set TAGGER_BUNDLE "
        "to a model's folder or to hf:owner/name.",
        "{name}にモデルがありません。`python -m tagger train`で学習するか、"
        "TAGGER_BUNDLEにモデルのフォルダーかhf:owner/nameを設定してください。",
    ),
    "bundle-bad-reference": (
        503,
        "The model's name cannot be used. Write a folder, or hf:owner/name or "
        "hf:owner/name@revision.",
        "モデルの指定が正しくありません。フォルダー、hf:owner/name、"
        "hf:owner/name@revisionのいずれかで指定してください。",
    ),
    "bundle-file-missing": (
        503,
        "The model's folder lacks {file}. Export or download the model again.",
        "モデルのフォルダーに{file}がありません。書き出しまたはダウンロードをやり直してください。",
    ),
    "bundle-file-invalid": (
        503,
        "{file} in the model's folder cannot be used ({reason}). "
        "Export or download the model again.",
        "モデルの{file}を読み込めません（{reason}）。"
        "書き出しまたはダウンロードをやり直してください。",
    ),
    "bundle-wrong-task": (
        503,
        "The model is made for another task than tagging, as its {file} says. Choose a tagger.",
        "{file}によると、タグ付け用のモデルではありません。タグ付けモデルを指定してください。",
    ),
    "bundle-too-new": (
        503,
        "The model was written by a newer version of this program ({file}). Update the program.",
        "より新しい版で作られたモデルです（{file}）。プログラムを更新してください。",
    ),
    "bundle-mismatch": (
        503,
        "The files of the model do not fit together: {reason}. Export or download the model again.",
        "モデルのファイル同士が合いません（{reason}）。"
        "書き出しまたはダウンロードをやり直してください。",
    ),
    "bundle-download-failed": (
        503,
        "The model {name} could not be downloaded. Check its name, the revision and the network.",
        "モデル{name}をダウンロードできませんでした。"
        "名前、リビジョン、ネットワークを確認してください。",
    ),
    "hub-not-installed": (
        503,
        "Models of the Hugging Face Hub need the package huggingface_hub. "
        "Install it (`pip install huggingface_hub`).",
        "Hugging Face Hubのモデルにはhuggingface_hubが必要です。"
        "`pip install huggingface_hub`でインストールしてください。",
    ),
    "model-unreadable": (
        503,
        "{file} is damaged or not an ONNX model. Export or download the model again.",
        "{file}が壊れているか、ONNXモデルではありません。"
        "書き出しまたはダウンロードをやり直してください。",
    ),
    "model-is-pointer": (
        503,
        "{file} is only a Git LFS pointer. Run `git lfs pull`, or download the file itself.",
        "{file}はGit LFSのポインターです。"
        "`git lfs pull`を実行するか、本体をダウンロードしてください。",
    ),
    "model-external-data": (
        503,
        "{file} keeps its weights in other files. Export it as a single file.",
        "{file}の重みが別ファイルになっています。1つのファイルに書き出してください。",
    ),
    "model-failed": (
        500,
        "The model failed on this picture. Try another picture; if it happens again, report it.",
        "この画像の処理に失敗しました。別の画像で試し、続く場合はご報告ください。",
    ),
    "model-not-probabilities": (
        503,
        "The model does not answer with probabilities between 0 and 1. Export it with its sigmoid.",
        "モデルの出力が0～1の確率ではありません。シグモイドを含めて書き出してください。",
    ),
    "tags-invalid": (
        503,
        "The model's list of tags cannot be used: line {line}: {reason}. "
        "Export or download the model again.",
        "モデルのタグ一覧を読み込めません（{line}行目：{reason}）。"
        "書き出しまたはダウンロードをやり直してください。",
    ),
    # Galleries and maps.
    "gallery-not-found": (
        404,
        "There is no gallery at this place, or it cannot be opened. Build one "
        "(`python -m tagger gallery build`), or check the folder's name.",
        "ギャラリーが見つからないか、開けません。`python -m tagger gallery build`で作成するか、"
        "フォルダー名を確認してください。",
    ),
    "gallery-damaged": (
        422,
        "The gallery is damaged, or its files do not belong together. Copy all of its folder "
        "again, or build it anew.",
        "ギャラリーが壊れているか、ファイルの組み合わせが正しくありません。"
        "フォルダー全体をコピーし直すか、作り直してください。",
    ),
    "gallery-foreign": (
        409,
        "The gallery was made with another model, so its embeddings mean something else. Choose "
        "that model, or build the gallery anew with this one.",
        "別のモデルで作られたギャラリーのため使えません。"
        "そのモデルを指定するか、このモデルで作り直してください。",
    ),
    "gallery-too-new": (
        422,
        "The gallery was written by a newer version of this program. Update the program.",
        "より新しい版で作られたギャラリーです。プログラムを更新してください。",
    ),
    "gallery-busy": (
        409,
        "Another process is building this gallery. Wait until it has ended.",
        "別の処理がこのギャラリーを作成しています。終わるまでお待ちください。",
    ),
    "gallery-table-invalid": (
        422,
        "The table of pictures cannot be read. It must be CSV in UTF-8 with a column `file`.",
        "画像の表を読み込めません。`file`列のあるUTF-8のCSVにしてください。",
    ),
    "gallery-export-invalid": (
        422,
        "The file is no export of a selection (JSON, made on the Explore tab). Export it again.",
        "選択範囲のエクスポート（「地図」タブのJSON）ではありません。エクスポートし直してください。",
    ),
    "map-failed": (
        503,
        "The map could not be made. Try again; if it goes on, restart the app.",
        "地図を作成できませんでした。もう一度試し、続く場合はアプリを再起動してください。",
    ),
    # Rankers and tastes.
    "ranker-not-found": (
        404,
        "There is no ranker at this place, or it cannot be opened. Train one "
        "(`python -m tagger train preference`), or check the file's name.",
        "ランカーが見つからないか、開けません。`python -m tagger train preference`で学習するか、"
        "ファイル名を確認してください。",
    ),
    "ranker-damaged": (
        422,
        "The file is damaged or not a ranker. Copy it again, or train it anew.",
        "ファイルが壊れているか、ランカーではありません。コピーし直すか、学習し直してください。",
    ),
    "ranker-foreign": (
        409,
        "The ranker was taught with another model, so its numbers mean something else. Choose "
        "that model, or train the ranker anew with this one.",
        "別のモデルで学習したランカーのため使えません。"
        "そのモデルを指定するか、このモデルで学習し直してください。",
    ),
    "ranker-too-new": (
        422,
        "The ranker was written by a newer version of this program. Update the program.",
        "より新しい版で作られたランカーです。プログラムを更新してください。",
    ),
    "taste-not-found": (
        404,
        "There is no taste at this place, or the file cannot be opened. Check the file's name.",
        "好みのファイルが見つからないか、開けません。ファイル名を確認してください。",
    ),
    "taste-damaged": (
        422,
        "The file is damaged or not a saved taste. Save the taste again.",
        "ファイルが壊れているか、保存した好みではありません。好みを保存し直してください。",
    ),
    "taste-foreign": (
        409,
        "The taste was learnt with another model, so its numbers mean something else. Choose that "
        "model, or vote anew with this one.",
        "別のモデルで学習した好みのため使えません。"
        "そのモデルを指定するか、このモデルで投票し直してください。",
    ),
    "taste-too-new": (
        422,
        "The taste was saved by a newer version of this program. Update the program.",
        "より新しい版で保存された好みです。プログラムを更新してください。",
    ),
    "vote-choice-invalid": (
        422,
        "A vote is `left`, `right`, `tie`, `both-bad` or `skip`.",
        "投票は`left`、`right`、`tie`、`both-bad`、`skip`のいずれかにしてください。",
    ),
    "vote-pair-invalid": (
        422,
        "A vote needs two different pictures of this gallery.",
        "投票には、このギャラリーの異なる2枚の画像を指定してください。",
    ),
    "vote-weight-invalid": (
        422,
        "The weight of a vote must be more than 0 and at most {limit}.",
        "投票の重みは0より大きく{limit}以下にしてください。",
    ),
    "vote-too-many": (
        409,
        "A taste takes at most {limit:,} votes. Save it, and begin a new one.",
        "1つの好みに投票できるのは{limit:,}回までです。保存して、新しく始めてください。",
    ),
    "taste-tag-unknown": (
        422,
        "No picture of this gallery has this tag. Choose another one.",
        "このギャラリーにはこのタグの画像がありません。別のタグを選んでください。",
    ),
    "taste-weight-invalid": (
        422,
        "The weight of a tag must be from -1 (never) to 1 (always).",
        "タグの重みは-1（まったく好まない）から1（常に好む）の範囲で指定してください。",
    ),
    "taste-share-invalid": (
        422,
        "Two tastes are blended by a share from 0 to 1.",
        "2つの好みを混ぜる割合は0から1の範囲で指定してください。",
    ),
    "ratings-table-invalid": (
        422,
        "The ratings cannot be read. Use a CSV file in UTF-8 with the columns `file` and "
        "`rating`; over the API, a JSON object of names and numbers will do, too.",
        "評価を読み取れません。`file`列と`rating`列のあるUTF-8のCSVファイルにしてください。"
        "APIでは、名前と数値のJSONオブジェクトも使えます。",
    ),
    "rating-invalid": (
        422,
        "The rating of “{name}” is no number. Correct it, or leave it empty.",
        "「{name}」の評価が数値ではありません。数値に直すか、空欄にしてください。",
    ),
    "compare-off": (
        503,
        "Pictures are not compared on this server.",
        "このサーバーでは画像の比較を利用できません。",
    ),
    "compare-no-gallery": (
        503,
        "There are no pictures to vote on here: this server has no gallery. Build one "
        "(`python -m tagger gallery build`), and set TAGGER_GALLERY to its folder.",
        "このサーバーには投票に使うギャラリーがありません。`python -m tagger gallery build`で"
        "作成し、TAGGER_GALLERYにそのフォルダーを設定してください。",
    ),
    "compare-no-judge": (
        503,
        "Nothing judges pictures here: this server has neither a ranker nor a gallery to vote on. "
        "Send a ranker or a saved taste as a file.",
        "このサーバーにはランカーも投票に使うギャラリーもないため、画像に点数を付けられません。"
        "ランカーか保存した好みのファイルを送ってください。",
    ),
    "compare-loading": (
        503,
        "The pictures to vote on are not ready yet. Try again in a few seconds.",
        "投票に使う画像を準備しています。数秒後にもう一度お試しください。",
    ),
    "compare-stale": (
        409,
        "The gallery or the model has changed meanwhile. Load the page again, and send your own "
        "pictures once more.",
        "ギャラリーかモデルが更新されました。ページを読み込み直し、自分の画像はもう一度送ってください。",
    ),
    "compare-no-ranker": (
        404,
        "There is no ranker “{ranker}” on this server. Choose another one, or send a file.",
        "このサーバーにランカー「{ranker}」はありません。別のものを選ぶか、ファイルを送ってください。",
    ),
    "compare-ranker-kind": (
        422,
        "A taste cannot begin from this ranker: it has a hidden layer. Choose a linear one.",
        "このランカーには中間層があるため、好みの出発点にできません。線形のものを選んでください。",
    ),
    # Indexes of embeddings.
    "index-not-found": (
        404,
        "There is no index at this place, or it cannot be opened. Build one "
        "(`python -m tagger index build`), or check the file's name.",
        "インデックスが見つからないか、開けません。`python -m tagger index build`で作成するか、"
        "ファイル名を確認してください。",
    ),
    "index-damaged": (
        422,
        "The file is damaged or not an index. Copy it again, or build it anew.",
        "ファイルが壊れているか、インデックスではありません。コピーし直すか、作り直してください。",
    ),
    "index-foreign": (
        409,
        "The index was made with another model, so its embeddings mean something else. Choose "
        "that model, or build the index anew with this one.",
        "別のモデルで作られたインデックスのため使えません。"
        "そのモデルを指定するか、このモデルで作り直してください。",
    ),
    "index-too-new": (
        422,
        "The index was written by a newer version of this program. Update the program.",
        "より新しい版で作られたインデックスです。プログラムを更新してください。",
    ),
    "index-too-large": (
        413,
        "The index is larger than {limit:MiB} and is not read into memory. Build smaller ones.",
        "インデックスが{limit:MiB}を超えるため読み込めません。分割して作成してください。",
    ),
    "index-full": (
        413,
        "An index takes at most {limit:,} items. Build another one.",
        "インデックスの上限は{limit:,}件です。別のインデックスを作成してください。",
    ),
    "index-no-usearch": (
        503,
        "The approximate search needs the package usearch. Install it (`pip install usearch`), or "
        "choose the exact search.",
        "近似検索にはusearchが必要です。`pip install usearch`でインストールするか、"
        "厳密検索を選んでください。",
    ),
    "index-no-embedding": (
        422,
        "This model gives no embeddings, so nothing can be indexed with it. Choose another model.",
        "このモデルは埋め込みを出力しないため、インデックスを作れません。"
        "別のモデルを指定してください。",
    ),
    "index-not-calibrated": (
        409,
        "The index has no cut-points yet. Calibrate it first (`python -m tagger index calibrate`).",
        "インデックスがまだ調整されていません。先に`python -m tagger index calibrate`を"
        "実行してください。",
    ),
    "index-id-exists": (
        409,
        "“{id}” is in the index already. Update it, or choose another name.",
        "「{id}」は登録済みです。更新するか、別の名前にしてください。",
    ),
    "index-id-unknown": (
        404,
        "There is no “{id}” in the index.",
        "インデックスに「{id}」はありません。",
    ),
    "index-id-invalid": (
        422,
        "The name of an item must be text of 1 to {limit:,} bytes.",
        "項目名は1～{limit:,}バイトの文字列にしてください。",
    ),
    "index-embedding-invalid": (
        422,
        "An embedding must be {dimension} numbers that are not all zero.",
        "埋め込みは、すべてが0ではない{dimension}個の数値にしてください。",
    ),
    "index-labels-invalid": (
        422,
        "The labels of an item must be at most {limit:,} whole numbers from 0 on.",
        "ラベルは0以上の整数で、{limit:,}個までにしてください。",
    ),
    "index-metadata-invalid": (
        422,
        "What is kept about an item must be a JSON object of at most {limit:,} bytes.",
        "付加情報は{limit:,}バイト以内のJSONオブジェクトにしてください。",
    ),
    "index-bad-url": (
        422,
        "This is no place of an index. Write the name of a file, or "
        "postgresql://USER:PASSWORD@HOST/DATABASE?index=NAME.",
        "インデックスの場所が正しくありません。ファイル名か"
        "postgresql://ユーザー:パスワード@ホスト/データベース?index=名前で指定してください。",
    ),
    "index-no-pgvector": (
        503,
        "The database has no pgvector 0.8 or later, which an index needs. Install it on the "
        "server, and let its owner run: CREATE EXTENSION vector.",
        "データベースにpgvector 0.8以降がありません。サーバーにインストールし、管理者が"
        "CREATE EXTENSION vectorを実行してください。",
    ),
    "index-unavailable": (
        503,
        "The index's database cannot be reached. Check its URL, and whether the server runs.",
        "インデックスのデータベースに接続できません。URLとサーバーの状態を確認してください。",
    ),
    "index-busy": (
        503,
        "The index's database is busy and did not answer in time. Try again in a few seconds.",
        "インデックスのデータベースが混み合い、時間内に応答しませんでした。"
        "数秒後にもう一度お試しください。",
    ),
    "index-read-only": (
        503,
        "The index can be read but not changed by this user of the database.",
        "このデータベースユーザーは、インデックスを読み取れますが変更できません。",
    ),
    "index-too-wide": (
        422,
        "The database's graph takes embeddings of at most {limit:,} numbers. Choose the exact "
        "search, or keep them as float16.",
        "データベースの近似検索は{limit:,}次元までです。厳密検索を選ぶか、float16で保存してください。",
    ),
    # Maps to explore.
    "explore-off": (
        503,
        "There is nothing to explore on this server: it has no gallery. Build one "
        "(`python -m tagger gallery build`), and set TAGGER_GALLERY to its folder.",
        "このサーバーには探索できるギャラリーがありません。`python -m tagger gallery build`で"
        "作成し、TAGGER_GALLERYにそのフォルダーを設定してください。",
    ),
    "explore-loading": (
        503,
        "The map is not ready yet. Try again in a few seconds.",
        "地図を準備しています。数秒後にもう一度お試しください。",
    ),
    "explore-failed": (
        503,
        "The map cannot be shown; the server's log says why. Tell whoever runs it.",
        "地図を表示できません。原因はサーバーのログにあります。管理者にお知らせください。",
    ),
    "explore-empty": (
        404,
        "There is nothing on this map yet.",
        "この地図にはまだ何もありません。",
    ),
    "explore-stale": (
        409,
        "The map has changed meanwhile. Load it again.",
        "地図が更新されました。読み込み直してください。",
    ),
    "explore-mask": (
        422,
        "The selection must be base64 of one bit for each of the {count:,} pictures.",
        "選択範囲は、{count:,}枚の画像を1ビットずつ表すBase64にしてください。",
    ),
    "explore-no-picture": (
        404,
        "There is no picture {number} on this map. It may have been taken back.",
        "この地図に画像{number}はありません。取り下げられた可能性があります。",
    ),
    "explore-no-tag": (
        404,
        "There is no tag {tag} on this map.",
        "この地図にタグ{tag}はありません。",
    ),
    "explore-no-column": (
        404,
        "There is no column {name} of this map.",
        "この地図に列{name}はありません。",
    ),
    "explore-too-many": (
        413,
        "Those are too many at once. Choose at most {limit:,}.",
        "一度に扱えるのは{limit:,}件までです。数を減らしてください。",
    ),
    # Settings.
    "settings-invalid": (
        500,
        "Some settings cannot be used: {problems}.",
        "使えない設定があります：{problems}。",
    ),
    "internal": (
        500,
        "Something went wrong on our side. Try again; if it happens again, please report it.",
        "内部エラーが発生しました。再度お試しのうえ、続く場合はご報告ください。",
    ),
    # Drawings.
    "strokes-malformed": (
        422,
        "The drawing must be a list of strokes, each [[x, ...], [y, ...]] with as many x as y; "
        "lists of milliseconds and of pressures may follow.",
        "描画データはストロークのリストで、各ストロークは同じ個数のxとyを持つ"
        "[[x, ...], [y, ...]]の形にしてください。ミリ秒と筆圧のリストも続けられます。",
    ),
    "strokes-empty": (
        422,
        "There is nothing drawn yet. Draw at least one line.",
        "まだ何も描かれていません。線を1本以上描いてください。",
    ),
    "strokes-too-many": (
        413,
        "The drawing has more than {limit:,} strokes or points. Draw with fewer.",
        "ストロークまたは点の数が{limit:,}を超えています。数を減らしてください。",
    ),
    "strokes-out-of-range": (
        422,
        "The drawing holds numbers that cannot be places, or pressures outside 0 to 1.",
        "座標として扱えない数値か、0～1の範囲外の筆圧が含まれています。",
    ),
}


def render(code: str, params: Mapping[str, Any], language: str = "en") -> str:
    """Fill the message of `code` in ``"en"`` or ``"ja"``.

    Never raises: an unknown code or a missing value gives the message of ``"internal"``.
    """
    column = 2 if language.lower().split("-")[0] == "ja" else 1
    template = MESSAGES.get(code, MESSAGES["internal"])[column]
    try:
        return str(_Formatter(column - 1).vformat(str(template), (), dict(params)))
    except (LookupError, ValueError, TypeError, AttributeError):
        return str(MESSAGES["internal"][column])


class _Formatter(string.Formatter):
    def __init__(self, column: int) -> None:
        self._column = column

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "MiB":
            return f"{value / 2**20:.3g} MiB" if value < 2**30 else f"{value / 2**30:.3g} GiB"
        if format_spec == "MP":
            megapixels = value / 1e6
            number = f"{megapixels:,.0f}" if megapixels >= 10 else f"{megapixels:.3g}"
            return number + (" megapixels", "メガピクセル")[self._column]
        if format_spec == "kind":
            return KINDS.get(value, KINDS["unknown"])[self._column]
        if format_spec == "why":
            return REASONS[value][self._column]
        return str(super().format_field(value, format_spec))
